"""wrk's report, as wrk 4.1 prints it."""

from __future__ import annotations

import pytest

from benchmarks import wrk
from benchmarks.bench import BenchError

REPORT = """Running 4s test @ http://127.0.0.1:28940/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     3.41ms    1.02ms  42.17ms   91.44%
    Req/Sec    18.93k     1.12k   20.50k    72.50%
  Latency Distribution
     50%  812.00us
     75%    3.61ms
     90%    4.10ms
     99%    1.25s
  75421 requests in 4.00s, 31.21MB read
  Socket errors: connect 0, read 3, write 1, timeout 2
  Non-2xx or 3xx responses: 7542
Requests/sec:  18850.11
Transfer/sec:      7.80MB
asked 75485
""".replace("1.25s", "1.25s ")  # wrk pads seconds to the width of milliseconds


def test_everything_is_read() -> None:
    """Counts, units of time and size, errors, and what the script printed."""
    load = wrk.parse(REPORT)
    assert (load.requests, load.refused, load.failed, load.asked) == (75_421, 7_542, 6, 75_485)
    assert (load.p50, load.p99, load.seconds) == (pytest.approx(0.000812), 1.25, 4.0)
    assert load.received == int(31.21 * 1024**2)
    assert load.rate == 75_421 / 4


def test_a_clean_run_has_no_errors() -> None:
    """The lines about errors are missing then."""
    clean = "\n".join(line for line in REPORT.splitlines() if not line.strip().startswith(("Socket", "Non-2xx", "asked")))
    load = wrk.parse(clean)
    assert (load.refused, load.failed, load.asked) == (0, 0, 0)


def test_what_is_no_report_is_an_error_with_its_text() -> None:
    """wrk that can't connect prints one line and no figures."""
    with pytest.raises(BenchError, match="unable to connect"):
        wrk.parse("unable to connect to 127.0.0.1:1 Connection refused\n")
