"""The watched season of `calibration/nowcast.py`: begun, gone on with, and as if never stopped."""

import polars as pl
import pytest

from calibration import nowcast

pytestmark = pytest.mark.gate


def test_a_season_is_watched_and_gone_on_with(tmp_path, monkeypatch, capsys):
    def watch(weeks, folder):
        options = ["--weeks", str(weeks), "--members", "20", "--agents", "500", "--ahead", "1"]
        monkeypatch.setattr("sys.argv", ["nowcast", *options, "--out", str(tmp_path / folder)])
        nowcast.main()

    watch(2, "season")
    watch(3, "season")
    watch(3, "whole")
    for name in ("table", "nowcasts", "forecasts", "diagnostics"):
        one, other = (
            pl.read_csv(tmp_path / folder / f"{name}-03.csv") for folder in ("season", "whole")
        )
        assert one.equals(other)
    table = pl.read_csv(tmp_path / "whole" / "table-03.csv")
    assert table["element"].unique().sort().to_list() == ["friends", "school"]
    assert (table["sd"] > 0).all()
    assert "week 3 to 2026-10-18" in capsys.readouterr().out
