package main

import (
	"slices"
	"time"
)

// Spread is what many times have in common, in milliseconds.
type spread struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// Report sums up the lanes. Seconds is the time from the job's begin to the end of its last answer.
type report struct {
	Seconds      float64        `json:"seconds"`
	Answers      int            `json:"answers"`
	Tokens       int            `json:"tokens"`
	WindowTokens int            `json:"window_tokens"`
	FirstEvent   spread         `json:"first_event_ms"`
	FirstToken   spread         `json:"first_token_ms"`
	Whole        spread         `json:"whole_ms"`
	Gap          spread         `json:"gap_ms"`
	Probe        spread         `json:"probe_ms"`
	Failures     map[string]int `json:"failures"`
	Kept         []string       `json:"kept"`
}

func sum(lanes []*lane, probes []float64, began time.Time) report {
	total := report{Failures: map[string]int{}, Kept: []string{}, Probe: spreadOf(probes)}
	var events, firsts, wholes, gaps []float64
	ended := began
	for _, each := range lanes {
		total.Answers += each.answers
		total.Tokens += each.tokens
		total.WindowTokens += each.inWindow
		total.Kept = append(total.Kept, each.kept...)
		events = append(events, each.events...)
		firsts = append(firsts, each.firsts...)
		wholes = append(wholes, each.wholes...)
		gaps = append(gaps, each.gaps...)
		for failure, count := range each.failures {
			total.Failures[failure] += count
		}
		if each.ended.After(ended) {
			ended = each.ended
		}
	}
	total.Seconds = ended.Sub(began).Seconds()
	total.FirstEvent, total.FirstToken = spreadOf(events), spreadOf(firsts)
	total.Whole, total.Gap = spreadOf(wholes), spreadOf(gaps)
	return total
}

func spreadOf(times []float64) spread {
	if len(times) == 0 {
		return spread{}
	}
	slices.Sort(times)
	return spread{P50: times[len(times)/2], P99: times[len(times)*99/100], Max: times[len(times)-1]}
}

func seconds(count float64) time.Duration { return time.Duration(count * float64(time.Second)) }

func milliseconds(took time.Duration) float64 { return took.Seconds() * 1000 }
