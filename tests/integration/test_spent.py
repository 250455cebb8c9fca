"""What attempts cost, where none of them got as far as a server."""

import duckdb

from runner.record.query import open_tables
from runner.report.spent import spent_by_model
from runner.report.tables import spent_grid


def test_attempts_of_a_server_that_is_not_there_are_counted(tmp_path):
    (tmp_path / "attempts").mkdir()
    duckdb.sql(
        "select 'm' model, 'target' as role, null::varchar role_model, 1 number, null::bigint status, "
        "'connection' failure_kind, false answered, null::bigint input_tokens, null::bigint output_tokens, "
        "null::bigint cache_read_tokens, null::bigint cache_write_tokens, null::double cost_usd, "
        "0.1::double latency_s, '2027-01-01T00:00:00Z' started_at"
    ).write_parquet(str(tmp_path / "attempts" / "a.parquet"))
    with open_tables(tmp_path) as tables:
        found = spent_by_model(tables)
    assert [(s.attempts, s.rate_limited, s.failures) for s in found] == [(1, 0, {"connection": 1})]
    assert spent_grid(found).rows[0][3] == "0"
