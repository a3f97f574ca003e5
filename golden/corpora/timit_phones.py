# SPDX-License-Identifier: Apache-2.0
"""TIMIT's phones and speakers: the usual folding of phones and the usual sets.

The 61 phones are folded to 48 for training and to 39 for scoring (Lee and Hon, "Speaker-independent
phone recognition using hidden Markov models", 1989); the glottal stop q is left out.
"""

from collections.abc import Mapping

_SAME = (
    "ae ah aw ay b ch d dh dx eh er ey f g hh ih iy jh k l m n ng ow oy p r s sh sil t th uh uw v "
    "w y z"
)
"""Phones and classes that stay themselves."""
_TO_48: Mapping[str, str] = {
    "ax-h": "ax",
    "axr": "er",
    "bcl": "vcl",
    "dcl": "vcl",
    "gcl": "vcl",
    "kcl": "cl",
    "pcl": "cl",
    "tcl": "cl",
    "em": "m",
    "eng": "ng",
    "h#": "sil",
    "pau": "sil",
    "hv": "hh",
    "nx": "n",
    "ux": "uw",
}
FOLD: Mapping[str, str] = {
    "ao": "aa",
    "ax": "ah",
    "cl": "sil",
    "vcl": "sil",
    "epi": "sil",
    "el": "l",
    "en": "n",
    "ix": "ih",
    "zh": "sh",
}
"""Those of the 48 classes that are another one of the 39."""

_48 = tuple(sorted(["aa", *_SAME.split(), *FOLD]))
CLASSES: Mapping[int, tuple[str, ...]] = {
    48: _48,
    39: tuple(name for name in _48 if name not in FOLD),
}
"""Names of the classes in the order of their numbers, by how many there are."""


def _both(phone: str) -> tuple[str, str]:
    name = _TO_48.get(phone, phone)
    return name, FOLD.get(name, name)


PHONES: Mapping[str, tuple[str, str] | None] = {
    phone: _both(phone) for phone in sorted({*_48, *_TO_48} - {"sil", "cl", "vcl"})
} | {"q": None}
"""Each of the 61 phones: its class of 48 and its class of 39; None: left out."""

_CORE_TEST = (
    "mdab0 mwbt0 felc0 mtas1 mwew0 fpas0 mjmp0 mlnt0 fpkt0 mlll0 mtls0 fjlm0 "
    "mbpm0 mklt0 fnlp0 mcmj0 mjdh0 fmgd0 mgrt0 mnjm0 fdhc0 mjln0 mpam0 fmld0"
)
_DEVELOPMENT = (
    "faks0 fdac1 fjem0 mgwt0 mjar0 mmdb1 mmdm2 mpdf0 fcmh0 fkms0 mbdg0 mbwm0 mcsh0 fadg0 fdms0 "
    "fedw0 mgjf0 mglb0 mrtk0 mtaa0 mtdt0 mthc0 mwjg0 fnmr0 frew0 fsem0 mbns0 mmjr0 mdls0 mdlf0 "
    "mdvc0 mers0 fmah0 fdrw0 mrcs0 mrjm4 fcal1 mmwh0 fjsj0 majc0 mjsw0 mreb0 fgjd0 fjmg0 mroa0 "
    "mteb0 mjfc0 mrjr0 fmml0 mrws1"
)
CORE_TEST = tuple(_CORE_TEST.split())
"""Speakers of the core test set, three of each dialect region."""
DEVELOPMENT = tuple(_DEVELOPMENT.split())
"""Speakers of the usual development set."""
