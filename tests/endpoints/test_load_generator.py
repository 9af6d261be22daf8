"""The load generator of `make bench`, against the real thing."""

from bench.samples import Subject
from bench.worker import worker
from local.credentials import development_key
from tests.endpoints.conftest import Site

PAIRS = 60


async def test_every_pair_that_it_sends_is_reserved_and_cleared(site: Site) -> None:
    def cleared() -> int:
        rows = site.system.rows("SELECT count(*) AS n FROM allocation WHERE status = 'cleared'")
        return int(rows[0]["n"])

    key, _ = development_key(site.system.folder)
    before = cleared()
    async with worker("bench.client", site.bitgo.url, str(key)) as sender:
        pids = {name: [pid] for name, pid in site.system.supervisor.pids().items()}
        sample = await Subject("product", sender, pids).slice({"clients": 4, "pairs": PAIRS})
        await sender.prepare({"pairs_per_second": 50, "pairs": PAIRS, "trace": True})
        timings = await sender.run()
    assert (PAIRS, {}) == (sample.pairs, sample.wrong)
    assert {*pids, "client"} == sample.cpu.keys()
    assert 0 < sample.reserve_p50 <= sample.reserve_p99 <= sample.reserve_max
    assert 1.1 < timings["seconds"] < 10, "the rate was kept"
    assert (PAIRS, {}) == (len(timings["clear"]), timings["wrong"])
    assert before + 2 * PAIRS == cleared()
