#!/bin/sh
# Asks, prints the answer as it comes, and goes on by itself when the connection breaks or a replica dies.
# EPS_URL=http://127.0.0.1:8000/v1 EPS_KEY=… sh resume.sh "Count to 30"; needs curl.

question=$(printf %s "$1" | sed 's/[\\"]/\\&/g' | awk 'NR > 1 { printf "\\n" } { printf "%s", $0 }') # as JSON
once=$(date +%s)-$$ # the same for every try, so that there is one answer
id='' last=-1
events=$(mktemp -u) && mkfifo "$events" && trap 'rm -f "$events"' EXIT

ask() {
    if [ "$id" ]; then
        set -- "$EPS_URL/responses/$id?stream=true&starting_after=$last"
    else
        set -- "$EPS_URL/responses" -H "Idempotency-Key: $once" -d "{\"input\": \"$question\", \"stream\": true}"
    fi
    curl -sN --speed-limit 1 --speed-time 60 "$@" -H "Authorization: Bearer $EPS_KEY" -H 'Content-Type: application/json'
}

find_in() { printf '%s\n' "$line" | sed -En "s/.*$1.*/\\1/p"; }

while :; do
    ask >"$events" &
    while IFS= read -r line || [ "$line" ]; do
        case $line in
        *'"type":"server_error"'*) continue ;; # nobody serves for the moment
        '{"error":'*) echo "$line" >&2 && exit 1 ;;
        'data: {'*'"sequence_number":'*) last=$(find_in '"sequence_number":([0-9]+)') ;;
        *) continue ;; # names of events, comments, keepalive
        esac
        [ "$id" ] || { id=$(find_in '"response":\{"id":"(resp_[0-9a-f]+)"') && echo "$id" >&2; }
        case $line in
        *'"type":"response.output_text.delta"'*)
            printf %b "$(find_in '"delta":"(([^"\\]|\\.)*)"' | sed 's/\\"/"/g')" ;;
        *'"type":"response.completed"'* | *'"type":"response.incomplete"'* | *'"type":"response.failed"'*) exit ;;
        esac
    done <"$events"
    sleep 1
done
