#!/bin/sh
# What a server does behind each peer, over HTTP on loopback: benches/http.sh. QUICK=1 for a try, WORKERS=2 for two threads.
# It needs wrk, and what benches/peers needs.
set -eu
cd "$(dirname "$0")/peers"
command -v wrk >/dev/null || {
    echo "wrk is missing (Debian: apt-get install wrk)" >&2
    exit 1
}
cargo build --release --bins
cargo run --release --bin http -- "$@"
