"""The boarding-school study: a file that will not do is refused in words."""

import pytest

import lpm
from calibration import boarding_school as school


def test_a_file_without_boys_in_bed_is_refused(tmp_path):
    path = tmp_path / "school.csv"
    path.write_text("date,ill\n1978-01-22,3\n")
    with pytest.raises(lpm.DataError, match="no column 'in_bed'"):
        school.read(path)
    path.write_text("date,in_bed\n1978-01-22,3\n1978-01-23,900\n")
    with pytest.raises(lpm.DataError, match="counts from 0 to 763"):
        school.read(path)
