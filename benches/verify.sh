#!/usr/bin/env bash
# How fast `annals verify` reads a store beside `cat` of the same warm files: five rounds, interleaved, medians.
# Needs a release build of the program: cargo build --release -p annals-cli
set -euo pipefail
export LC_ALL=C
annals=${ANNALS:-$(dirname "$0")/../target/release/annals}
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
export ANNALS_STORE=$directory/store

# A million events of some 150 bytes of JSON in 20,000 streams, ten to an append.
awk 'BEGIN {
    srand(7)
    for (append = 0; append < 100000; append++) {
        account = int(rand() * 20000)
        for (event = 0; event < 10; event++) {
            head = event ? "" : sprintf("\"append\":{\"id\":\"append-%d\",\"events\":10},", append)
            printf "{%s\"stream\":\"account-%d\",\"type\":\"deposited\",\"tags\":[\"account:%d\"],", head, account, account
            printf "\"payload\":{\"amount\":%d,\"currency\":\"EUR\",\"note\":\"%x %x %x %x %x\",\"to\":\"account-%d\"}}\n", \
                rand() * 100000, rand() * 2^31, rand() * 2^31, rand() * 2^31, rand() * 2^31, rand() * 2^31, rand() * 20000
        }
    }
}' | "$annals" import > "$directory/told"
cat "$directory/told"

# Seconds of wall time, and of the processor, of a command.
TIMEFORMAT='%R %U %S'
timed() { { time "$@" > /dev/null; } 2>&1 | awk '{ print $1, $2 + $3 }'; }
median() { sort -n | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }'; }

measure() {
    local files=("$ANNALS_STORE"/log/* "$ANNALS_STORE"/index/*)
    rm -f "$directory"/cat "$directory"/verify
    cat "${files[@]}" > /dev/null
    for _ in 1 2 3 4 5; do
        timed cat "${files[@]}" >> "$directory/cat"
        timed "$annals" verify >> "$directory/verify"
    done
    for what in cat verify; do
        printf '%s: wall %s s, processor %s s\n' "$what" \
            "$(cut -d' ' -f1 "$directory/$what" | median)" "$(cut -d' ' -f2 "$directory/$what" | median)"
    done
}

echo "plain: $(du -sb "$ANNALS_STORE/log" | cut -f1) bytes of log"
measure
"$annals" optimize apply --rate 0
echo "compressed: $(du -sb "$ANNALS_STORE/log" | cut -f1) bytes of log"
measure
