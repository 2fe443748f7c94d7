#!/usr/bin/env bash
# Streams an answer with curl, and goes on after the last event when the connection breaks.
#
# Needs bash, curl and jq.
#
#     TOKEN=$(tailrace token) bash curl.sh "Tell me about rivers"
#
# SERVER_URL says where the server is, if not at http://127.0.0.1:8080.
set -euo pipefail

server=${SERVER_URL:-http://127.0.0.1:8080}
prompt=${1:-Tell me about lighthouse keepers}
received=$(mktemp)
trap 'rm -f "$received"' EXIT

call() {
  curl --silent --no-buffer --fail-with-body -H "Authorization: Bearer ${TOKEN:-}" "$@"
}

fail() {
  echo "$*" >&2
  exit 1
}

# Starts the generation, and learns its id at once: so whatever breaks later can be resumed.
request=$(jq -n --arg prompt "$prompt" '{$prompt}')
stream=$(call "$server/v1/streams" -H 'Content-Type: application/json' -H 'Prefer: respond-async' -d "$request") ||
  fail "$(jq -r .message <<<"$stream")"
id=$(jq -r .id <<<"$stream")

last="" end=""
for wait in 0 1 2 4 8 16; do
  sleep "$wait"
  # One JSON object a line, which is easier for a shell than SSE. What a cut leaves of a line is no
  # JSON, and is sent again.
  status=0
  call "$server/v1/streams/$id/events" -H 'Accept: application/x-ndjson' \
    ${last:+-H "Last-Event-ID: $last"} |
    tee "$received" |
    jq -Rj --unbuffered 'fromjson? | select(.type == "token").text' || status=${PIPESTATUS[0]}
  # 22 means that the server has refused, and said why.
  [ "$status" != 22 ] || fail "$(jq -r .message "$received")"
  seq=$(jq -Rr 'fromjson? | .seq' "$received" | tail -n 1)
  [ -z "$seq" ] || last=$id.$seq
  end=$(jq -Rc 'fromjson? | select(.type == "done" or .type == "error")' "$received")
  [ -z "$end" ] || break
done

echo
[ -n "$end" ] || fail "The connection breaks each time; the stream is $id."
[ "$(jq -r .type <<<"$end")" = done ] || fail "$(jq -r .error.message <<<"$end")"
