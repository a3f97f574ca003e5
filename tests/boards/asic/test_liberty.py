# SPDX-License-Identifier: Apache-2.0
import pytest

from deltaloom.boards.asic.liberty import parse
from deltaloom.golden.errors import UserError

TEXT = """/* a comment { */
library (demo) {
  time_unit : "1ns"; // another }
  capacitive_load_unit (10, ff);
  cell ("AND") {
    area : 2.5 ;
    pin (A, B) { direction : input; }
    pin (Y) { function : "A & B"; timing () { related_pin : "A B"; values ("1, 2", \\
       "3, 4"); } }
    dont_use : true
  }
}
"""


def test_groups_attributes_and_lists_are_read():
    library = parse(TEXT)
    assert (library.kind, library.name) == ("library", "demo")
    assert library.attributes == {"time_unit": "1ns", "capacitive_load_unit": "10, ff"}
    (cell,) = library.every("cell")
    assert cell.name == "AND"
    assert cell.number("area") == 2.5
    assert cell.attributes["dont_use"] == "true"
    inputs, output = cell.every("pin")
    assert inputs.arguments == ("A", "B")
    (timing,) = output.every("timing")
    assert timing.attributes == {"related_pin": "A B", "values": "1, 2, 3, 4"}


def test_a_number_that_is_an_expression_is_the_default():
    assert parse("library (x) { a : 3.0 * VDD; b : VDD; }").number("b", 7.0) == 7.0
    assert parse("library (x) { a : 3.0 * VDD; }").number("a") == 3.0


@pytest.mark.parametrize("end", range(30, len(TEXT) - 2, 17))
def test_a_file_that_ends_too_early_is_refused(end):
    with pytest.raises(UserError, match=r"^demo\.lib: (ends in the middle|is no Liberty file)"):
        parse(TEXT[:end], source="demo.lib")


@pytest.mark.parametrize("text", ["", "module x; endmodule", "root:x:0:0", "library (x);"])
def test_another_file_is_refused(text):
    with pytest.raises(UserError, match="is no Liberty file"):
        parse(text)
