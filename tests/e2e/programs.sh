#!/usr/bin/env bash
# The two programs from outside, as a person uses them; `cargo xtask e2e` builds them and
# runs this. CLI and SERVER name the programs. Prints `ok NAME` or `FAILED NAME: REASON`.
set -uo pipefail

work=$(mktemp -d)
server=
log=$work/server.log
trap 'stop KILL; rm -rf "$work"' EXIT

# Starts the server with further flags on a free port; sets $base and $server.
start() {
  : >"$log"
  "$SERVER" --host 127.0.0.1 --port 0 "$@" >"$log" 2>&1 &
  server=$!
  for _ in $(seq 200); do
    base=$(grep -o 'http://127.0.0.1:[0-9]*' "$log" | head -n 1)
    if [ -n "$base" ] && curl -fsS "$base/health" >/dev/null 2>&1; then
      return 0
    fi
    kill -0 "$server" 2>/dev/null || break
    sleep 0.1
  done
  echo "the server did not start: $(tail -n 3 "$log")"
  return 1
}

stop() {
  if [ -n "$server" ]; then
    kill -"$1" "$server" 2>/dev/null
    wait "$server" 2>/dev/null
    status=$?
    server=
    return "$status"
  fi
}

same() {
  if [ "$1" != "$2" ]; then
    echo "got $(printf '%s' "$1" | head -c 200), wanted $(printf '%s' "$2" | head -c 200)"
    return 1
  fi
}

contains() {
  case "$1" in
    *"$2"*) ;;
    *) echo "$(printf '%s' "$1" | head -c 300) does not contain $2" && return 1 ;;
  esac
}

check() {
  local reason
  # In this shell, because checks start and stop the server.
  if "$2" >"$work/reason" 2>&1; then
    echo "ok $1"
  else
    reason=$(tr '\n' ' ' <"$work/reason" | head -c 500)
    echo "FAILED $1: $reason"
    failed=1
  fi
}

quick_start_with_curl() {
  start --storage memory || return 1
  local url=$base/v1/stream/meters
  curl -fsS -X PUT "$url" -H 'Content-Type: application/json' &&
    curl -fsS -X POST "$url" -H 'Content-Type: application/json' -d '[{"kwh":3},{"kwh":4}]' &&
    same "$(curl -fsS "$url?offset=-1")" '[{"kwh":3},{"kwh":4}]' &&
    contains "$(timeout 1 curl -sN "$url?offset=-1&live=sse")" '"upToDate":true' &&
    stop TERM
}

quick_start_with_the_command_line() {
  start --storage memory || return 1
  export STREAM_URL=$base
  "$CLI" create plant/boiler-3 --json >/dev/null &&
    "$CLI" write plant/boiler-3 '[{"t":71},{"t":72}]' --batch-json >/dev/null &&
    printf '{"t":73}\n{"t":74}\n' | "$CLI" write plant/boiler-3 --ndjson --producer-id boiler >/dev/null &&
    same "$("$CLI" read plant/boiler-3 --format ndjson)" $'{"t":71}\n{"t":72}\n{"t":73}\n{"t":74}' &&
    stop TERM
}

# What was acknowledged before SIGKILL is there after it.
a_killed_server_keeps_what_it_acknowledged() {
  start --storage file --data-dir "$work/killed" || return 1
  curl -fsS -X PUT "$base/v1/stream/log" -H 'Content-Type: text/plain' || return 1
  for n in 1 2 3; do
    curl -fsS -o /dev/null -X POST "$base/v1/stream/log" -H 'Content-Type: text/plain' \
      -H 'Producer-Id: e2e' -H 'Producer-Epoch: 0' -H "Producer-Seq: $((n - 1))" -d "line $n;" || return 1
  done
  stop KILL
  start --storage file --data-dir "$work/killed" || return 1
  same "$(curl -fsS "$base/v1/stream/log?offset=-1")" 'line 1;line 2;line 3;' || return 1
  # The producer is known too: its last batch is a duplicate, not a gap.
  same "$(curl -sS -o /dev/null -w '%{http_code}' -X POST "$base/v1/stream/log" -H 'Content-Type: text/plain' \
    -H 'Producer-Id: e2e' -H 'Producer-Epoch: 0' -H 'Producer-Seq: 2' -d 'line 3;')" 204 || return 1
  stop TERM
}

a_stopping_server_ends_live_readers_and_exits_0() {
  start --storage memory || return 1
  curl -fsS -X PUT "$base/v1/stream/live" -H 'Content-Type: text/plain' || return 1
  curl -sN "$base/v1/stream/live?offset=-1&live=sse" >"$work/sse" &
  local reader=$!
  curl -s -o /dev/null -w '%{http_code}' "$base/v1/stream/live?offset=now&live=long-poll" >"$work/poll" &
  local poll=$!
  until grep -q upToDate "$work/sse" 2>/dev/null; do sleep 0.05; done
  sleep 0.3
  local began=$SECONDS
  stop TERM || { echo "exit status $?"; return 1; }
  wait "$reader"
  local reader_status=$?
  wait "$poll"
  same "$(cat "$work/poll")" 204 && same "$reader_status" 0 || return 1
  [ $((SECONDS - began)) -le 5 ] || { echo "took $((SECONDS - began)) s"; return 1; }
}

a_directory_in_use_is_refused() {
  start --storage file --data-dir "$work/locked" || return 1
  local said
  said=$("$SERVER" --host 127.0.0.1 --port 0 --storage file --data-dir "$work/locked" 2>&1)
  local status=$?
  [ "$status" -ne 0 ] || { echo "a second server started"; return 1; }
  contains "$said" "$work/locked" && stop TERM
}

a_foreign_directory_is_refused_and_left_alone() {
  mkdir "$work/foreign" && echo precious >"$work/foreign/notes.txt"
  local said
  said=$("$SERVER" --host 127.0.0.1 --port 0 --storage file --data-dir "$work/foreign" 2>&1)
  local status=$?
  [ "$status" -ne 0 ] || { echo "it was taken"; return 1; }
  contains "$said" notes.txt && same "$(cat "$work/foreign/notes.txt")" precious && same "$(ls "$work/foreign")" notes.txt
}

bad_flags_name_themselves() {
  local said
  said=$("$SERVER" --stroage memory 2>&1)
  same "$?" 2 && contains "$said" --stroage && contains "$said" --storage || return 1
  said=$("$SERVER" --port 99999 2>&1)
  same "$?" 2 && contains "$said" 99999
}

both_caddyfiles_load() {
  cat >"$work/Caddyfile" <<CONF
:{\$PORT:4437} {
  durable_streams {
    prefix /v1/stream/
    store file {
      dir $work/caddy
    }
    long_poll_timeout 20s
  }
}
CONF
  "$SERVER" validate --config "$work/Caddyfile" >/dev/null || return 1
  cat >"$work/Caddyfile" <<CONF
{
  admin off
  auto_https off
}
:4437 {
  route /v1/stream/* {
    durable_streams {
      data_dir $work/caddy
    }
  }
}
CONF
  "$SERVER" validate --config "$work/Caddyfile" >/dev/null || return 1
  printf ':4437 {\n  encode gzip\n}\n' >"$work/Caddyfile"
  local said
  said=$("$SERVER" validate --config "$work/Caddyfile" 2>&1) && { echo "encode was accepted"; return 1; }
  contains "$said" encode && contains "$said" Caddyfile
}

# A small disk, where this user may make one: 507, and every acknowledged byte can be read,
# also by a server that starts on the full disk. It keeps 256 MiB in reserve.
a_full_disk_answers_507_and_loses_nothing() {
  local disk=$work/disk stored=0 answer
  mkdir "$disk"
  mount -t tmpfs -o size=320m tmpfs "$disk" 2>/dev/null || { echo "skipped: may not mount"; return 0; }
  head -c 1048576 /dev/zero | tr '\0' x >"$work/mib"
  start --storage file --data-dir "$disk/data" || { umount "$disk"; return 1; }
  curl -fsS -X PUT "$base/v1/stream/full" -H 'Content-Type: text/plain'
  for _ in $(seq 128); do
    answer=$(curl -sS -o /dev/null -w '%{http_code}' -X POST "$base/v1/stream/full" -H 'Content-Type: text/plain' \
      --data-binary "@$work/mib")
    [ "$answer" = 204 ] || break
    stored=$((stored + 1))
  done
  stop KILL
  if [ "$answer" = 507 ] && [ "$stored" -gt 0 ]; then
    start --storage file --data-dir "$disk/data" &&
      same "$(read_all "$base/v1/stream/full" | wc -c)" $((stored * 1048576))
  else
    echo "answered $answer after $stored MiB"
    false
  fi
  local outcome=$?
  stop TERM
  umount "$disk"
  return "$outcome"
}

# Follows the offsets to the tail.
read_all() {
  local offset=-1
  until grep -qi '^stream-up-to-date' "$work/head" 2>/dev/null; do
    curl -fsS -D "$work/head" "$1?offset=$offset" || return 1
    offset=$(grep -i '^stream-next-offset' "$work/head" | tr -d '\r' | cut -d ' ' -f 2)
  done
  rm -f "$work/head"
}

the_demo_loses_nothing() {
  contains "$("$CLI" demo 2>&1 | tail -n 1)" 'lost 0, doubled 0, order kept'
}

command -v curl >/dev/null || { echo "FAILED curl: install curl"; exit 1; }
failed=0
check "quick start with curl" quick_start_with_curl
check "quick start with the command line" quick_start_with_the_command_line
check "a killed server keeps what it acknowledged" a_killed_server_keeps_what_it_acknowledged
check "a stopping server ends live readers and exits 0" a_stopping_server_ends_live_readers_and_exits_0
check "a directory in use is refused" a_directory_in_use_is_refused
check "a foreign directory is refused and left alone" a_foreign_directory_is_refused_and_left_alone
check "bad flags name themselves" bad_flags_name_themselves
check "both Caddyfiles load" both_caddyfiles_load
check "a full disk answers 507 and loses nothing" a_full_disk_answers_507_and_loses_nothing
check "the demo loses nothing" the_demo_loses_nothing
exit "$failed"
