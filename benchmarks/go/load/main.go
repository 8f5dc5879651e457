// The load generator: a Job as JSON on each line of stdin, a Report on each line of stdout.
//
// A lane is one kept-alive connection. It sends its next request when the last answer has ended (closed loop).
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

// A server that hangs ends a job instead of blocking it.
const maxAnswer = 90 * time.Second

// Job is what to send. Times are seconds from the job's begin.
type Job struct {
	Port  int        `json:"port"`
	Lanes [][]string `json:"lanes"`
	// Each lane sends its requests once; with Seconds again and again, the last request before that time.
	Seconds float64 `json:"seconds"`
	// Lanes begin one after another, the last after this time.
	RampS float64 `json:"ramp_s"`
	// A line of an answer with Token is a token, and an answer with a line that has End is whole. Without End each
	// answer with the status 200 is whole.
	Token string `json:"token"`
	End   string `json:"end"`
	// Gaps, and the tokens of the window, are counted between these two.
	FromS float64 `json:"from_s"`
	ToS   float64 `json:"to_s"`
	// Whoever was refused waits so long.
	PauseMS int `json:"pause_ms"`
	// So many answers are kept as they came.
	Keep int `json:"keep"`
	// Sent ten times a second within the window, on a connection of its own.
	Probe string `json:"probe"`
}

type lane struct {
	job        *Job
	began      time.Time
	connection net.Conn
	reader     *bufio.Reader
	answers    int
	tokens     int
	inWindow   int
	events     []float64
	firsts     []float64
	wholes     []float64
	gaps       []float64
	kept       []string
	failures   map[string]int
	ended      time.Time
}

func (l *lane) run(requests []string, delay time.Duration) {
	defer l.close()
	time.Sleep(time.Until(l.began.Add(delay)))
	limit := l.began.Add(seconds(l.job.Seconds))
	for number := 0; l.job.Seconds > 0 || number < len(requests); number++ {
		if l.job.Seconds > 0 && time.Now().After(limit) {
			break
		}
		if err := l.ask(requests[number%len(requests)]); err != nil {
			l.failures[err.Error()]++
			l.close()
			time.Sleep(time.Duration(l.job.PauseMS) * time.Millisecond)
		}
		l.ended = time.Now()
	}
}

func (l *lane) close() {
	if l.connection != nil {
		l.connection.Close()
		l.connection = nil
	}
}

func (l *lane) connect() error {
	if l.connection != nil {
		return nil
	}
	opened, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", l.job.Port))
	if err != nil {
		return fmt.Errorf("no connection")
	}
	l.connection, l.reader = opened, bufio.NewReaderSize(opened, 16384)
	return nil
}

func (l *lane) ask(request string) error {
	if err := l.connect(); err != nil {
		return err
	}
	sent := time.Now()
	l.connection.SetDeadline(sent.Add(maxAnswer))
	if _, err := io.WriteString(l.connection, request); err != nil {
		return fmt.Errorf("the connection was closed")
	}
	response, err := http.ReadResponse(l.reader, nil)
	if err != nil {
		return fmt.Errorf("no answer")
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%d", response.StatusCode)
	}
	return l.read(response.Body, sent)
}

func (l *lane) read(body io.Reader, sent time.Time) error {
	var kept bytes.Buffer
	if len(l.kept) < l.job.Keep {
		body = io.TeeReader(body, &kept)
	}
	var first, last time.Time
	isWhole, tokens := l.job.End == "", 0
	token, end := []byte(l.job.Token), []byte(l.job.End)
	lines := bufio.NewReaderSize(body, 16384)
	for {
		line, err := lines.ReadSlice('\n')
		if len(line) > 1 && first.IsZero() {
			first = time.Now()
		}
		if len(token) > 0 && bytes.Contains(line, token) {
			now := time.Now()
			l.note(now, last, sent)
			last = now
			tokens++
		}
		isWhole = isWhole || bytes.Contains(line, end)
		if err == io.EOF {
			break
		}
		if err != nil && err != bufio.ErrBufferFull {
			return fmt.Errorf("an answer was cut")
		}
	}
	if !isWhole {
		return fmt.Errorf("an answer was not whole")
	}
	if kept.Len() > 0 {
		l.kept = append(l.kept, kept.String())
	}
	l.answers++
	l.tokens += tokens
	l.events = append(l.events, milliseconds(first.Sub(sent)))
	l.wholes = append(l.wholes, milliseconds(time.Since(sent)))
	return nil
}

func (l *lane) note(now, last, sent time.Time) {
	if last.IsZero() {
		l.firsts = append(l.firsts, milliseconds(now.Sub(sent)))
	}
	if at := now.Sub(l.began); at < seconds(l.job.FromS) || at >= seconds(l.job.ToS) {
		return
	}
	l.inWindow++
	if !last.IsZero() {
		l.gaps = append(l.gaps, milliseconds(now.Sub(last)))
	}
}

func probe(job *Job, began time.Time) []float64 {
	if job.Probe == "" {
		return nil
	}
	asking := *job
	asking.Token, asking.End, asking.Keep = "", "", 0
	prober := &lane{job: &asking, began: began, failures: map[string]int{}}
	defer prober.close()
	for at := seconds(job.FromS); at < seconds(job.ToS); at += 100 * time.Millisecond {
		time.Sleep(time.Until(began.Add(at)))
		asked := time.Now()
		if err := prober.ask(job.Probe); err != nil {
			// As long as a kubelet waits, at least: a refusal counts as the worst.
			prober.wholes = append(prober.wholes, max(1000, milliseconds(time.Since(asked))))
			prober.close()
		}
	}
	return prober.wholes
}

func run(job *Job) report {
	began := time.Now()
	var all sync.WaitGroup
	lanes := make([]*lane, len(job.Lanes))
	for place, requests := range job.Lanes {
		lanes[place] = &lane{job: job, began: began, failures: map[string]int{}}
		delay := seconds(job.RampS * float64(place) / float64(len(job.Lanes)))
		all.Add(1)
		go func() {
			defer all.Done()
			lanes[place].run(requests, delay)
		}()
	}
	probes := probe(job, began)
	all.Wait()
	return sum(lanes, probes, began)
}

func main() {
	jobs := bufio.NewReaderSize(os.Stdin, 1<<20)
	for {
		line, err := jobs.ReadBytes('\n')
		if err != nil {
			return
		}
		var job Job
		if err := json.Unmarshal(line, &job); err != nil {
			log.Fatal(err)
		}
		if err := json.NewEncoder(os.Stdout).Encode(run(&job)); err != nil {
			log.Fatal(err)
		}
	}
}
