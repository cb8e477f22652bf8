import pytest

from k2lab.errors import InputError
from k2lab.notebook import subjects


@pytest.mark.parametrize("name", ["", "0.11.0", "0.11.0 legacy nope", "a b c d"])
def test_names_of_another_form_are_refused(name):
    with pytest.raises(InputError, match="is not of the form 'ENGINE VARIANT"):
        subjects.parse(name)
