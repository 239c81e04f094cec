"""Contrast medium and phase of a series, as far as its header tells.

The header only ranks the series of a study before pixels are read. The phase in a result comes from
the pixels.
"""

# ruff: noqa: RUF001 - words in other scripts

from __future__ import annotations

import re
import unicodedata
from enum import StrEnum

from renalseg.dicom.tags import Instance


class Contrast(StrEnum):
    """Contrast, according to a header."""

    NATIVE = "native"
    ARTERIAL = "arterial"
    VENOUS = "venous"  # portal venous or nephrographic
    LATE = "late"
    SOME = "some"  # enhanced, in a phase that is not named


# The most specific text first: a protocol often names all phases of a study.
_TEXTS = ("SeriesDescription", "ProtocolName", "AcquisitionProtocolDescription")
_AGENT, _AGENTS = "ContrastBolusAgent", "ContrastBolusAgentSequence"  # the latter in enhanced CT


def _any_of(*, words: str = "", stems: str = "", parts: str = "") -> re.Pattern[str]:
    """Match whole words, beginnings of words, and parts of scripts that have no spaces.

    A digit or an underscore ends a word, as in "ABD_PV_5.0".
    """
    before, behind = r"(?<![^\W\d_])", r"(?![^\W\d_])"
    choices = [f"{before}(?:{words}){behind}"] if words else []
    choices += [rf"{before}(?:{stems})[^\W\d_]*"] if stems else []
    choices += [parts] if parts else []
    return re.compile("|".join(choices))


# English, German, French, Spanish, Portuguese, Italian, Dutch, Scandinavian, Polish, Russian,
# Japanese, Chinese, Korean; in capitals, and without accents.
_ORAL = re.compile(
    r"(?:\b(?:WITH|W|MIT|AVEC|CON|MET)\b\W*)?(?:ORAL|RECTAL)\w*\W*(?:[CK]ONTRAST\w*|KM)|PER OS"
)
_NATIVE = _any_of(
    words=r"S/C|S/IV|NC|NCCT|NECT|TNC|VNC|C-|-C|PLAIN|BLANCO|BASALE?|DIRETTA"
    r"|(?:W ?/ ?O|WO|WITHOUT|PRE|SANS|SENZA|SIN|SEM|OHNE|VOR|BEZ|ZONDER|UTAN|UDEN|UTEN|БЕЗ)"
    r"(?:[ -](?:IV|I\.V\.))?"
    r"(?:[ -](?:KM|MDC|CIV|CTE|INJECTION|PRODUIT|[CK]ONTRAST\w*|КОНТРАСТ\w*))?",
    stems=r"NATIV|NATIF|UNENHANCED|NONENHANCED|NONCON|PRECON|НАТИВ"
    r"|(?:NON|NO|NICHT)[ -](?:IV )?(?:[CK]ONTRAST|ENHANCED|CON(?![A-Z]))",
    parts="単純|单纯|平扫|平掃|非造影|조영 ?전|비조영",
)
_PHASES = {
    Contrast.VENOUS: _any_of(
        words=r"PV|PVP|PVE|VP|VEN|VENA|VENE|VENOUSE?|VENOS[AEO]?|VENOES|VENØS|VENEUX|VENEUSE|VENEU[SZ]E?"
        r"|NP|NGP|NEPHRO|NEFRO|(?<!\d)(?<!\d[.,])(?:[6-9]\d|1[0-2]\d) ?SE?[CK]?",
        stems=r"PORTAL|PORTAAL|PORTOV|VENOZ|ZYLN|WROTN|NEPHROG|NEFROG|TUBULAR"
        r"|PARENCHY|PARENQUI|PARENCHI|ВЕНОЗ|ПОРТАЛ|ПАРЕНХИ|НЕФРОГ",
        parts="門脈|門静脈|门脉|门静脉|静脈|静脉|実質|实质|문맥|정맥|실질",
    ),
    Contrast.ARTERIAL: _any_of(
        words=r"ART|CTA|CMP|(?<!\d)(?<!\d[.,])[2-4]\d ?SE?[CK]?",
        stems=r"ARTER|CORTICO|KORTIKO|ANGIO|TETNIC|АРТЕР|КОРТИКО",
        parts="動脈|动脉|皮質|皮质|동맥|피질",
    ),
    Contrast.LATE: _any_of(
        words=r"LATE|(?<!\d)\d\d? ?MIN",
        stems=r"DELAY|SPAT|SPAET|TARDI|EXCRET|EXKRET|AUSSCHEID|UROGRA|PYELO|OPOZN|WYDALN"
        r"|ОТСРОЧ|ВЫДЕЛИТ|ЭКСКРЕТ",
        parts="排泄|遅延|延迟|延遲|배설|지연",
    ),
    Contrast.SOME: _any_of(
        words=r"W|WITH|MIT|AVEC|CE|CECT|KM|MDC|CIV|CTE|IV|ENHANCED|C\+|\+C",
        stems=r"[CK]ONTRAST|INJECT|КОНТРАСТ",
        parts="造影|增强|增強|조영",
    ),
}
_NONE_GIVEN = _any_of(
    words="NO|NON|NONE|NEIN|KEIN|KEINE|NIL|N|NA|N/A|NOT|OHNE|SANS|WITHOUT|ORAL|RECTAL"
)


def contrast_of(instance: Instance) -> Contrast | None:
    """Find a slice's contrast in its description, then its protocol, then the injected agent.

    A description that names a native scan takes precedence over ContrastBolusAgent (0018,0010),
    which many scanners copy to every series of a study.

    Args:
        instance: A slice; the others of its series say the same.

    Returns:
        None if the header is silent or ambiguous.
    """
    for keyword in _TEXTS:
        told = _told(_plain(" ".join(instance.words(keyword))))
        if len(told) == 1:
            return told.pop()
        if told - {Contrast.NATIVE} and Contrast.NATIVE not in told:
            return Contrast.SOME
    agent, route = (
        _plain(" ".join(instance.words(keyword))) for keyword in (_AGENT, "ContrastBolusRoute")
    )
    given = bool(agent or instance.value(_AGENTS)) and not _NONE_GIVEN.search(f"{agent} {route}")
    return Contrast.SOME if given else None


def _told(text: str) -> set[Contrast]:
    """Return every contrast that a text names."""
    text = _ORAL.sub(" ", text)
    rest = _NATIVE.sub(" ", text)
    told = {phase for phase, pattern in _PHASES.items() if pattern.search(rest)}
    if len(told) > 1:
        told.discard(Contrast.SOME)  # the phase says more
    return told | {Contrast.NATIVE} if rest != text else told


def _plain(text: str) -> str:
    """Remove accents: VENÖS and VENOS are the same word."""
    apart = unicodedata.normalize("NFKD", text.upper())
    kept = "".join(char for char in apart if not unicodedata.combining(char))
    return unicodedata.normalize("NFC", kept)
