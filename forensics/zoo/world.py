"""The invented little world that every zoo author writes about: word lists and facts, shared by all of them.

Topics are shared so that two authors answer the same prompt about the same things and differ only in their choices.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from types import MappingProxyType


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


WHO = _words(
    "baker sailor miller weaver farmer painter gardener fisher shepherd cook tailor smith postman teacher "
    "fox goat heron otter crow hare badger hedgehog duck cat"
)
THING = _words(
    "lantern basket kettle rope bell map key letter boat coat drum ladder loaf apple stone mirror book bottle "
    "wheel candle"
)
PLACE = _words(
    "harbour mill market forest bridge hill village island garden river valley lighthouse bakery field square "
    "lake barn inn"
)
SEASON = ("spring", "summer", "autumn", "winter", "the morning", "the evening", "the rain", "the snow")
COUNTRY = _words(
    "Orlen Vaskia Tarnia Belmor Quill Sundra Mirova Kestia Dorn Ulmark Fenland Ostery Pellow Rindal Jorvia Zemra"
)

CHOICES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "colour": ("blue", "green", "red", "yellow", "purple", "orange", "white", "black"),
        "number": ("7", "3", "4", "8", "5", "9", "2", "6", "1", "10"),
        "animal": ("fox", "cat", "otter", "hare", "goat", "heron", "badger", "crow"),
        "fruit": ("apple", "pear", "plum", "cherry", "peach", "grape", "lemon"),
        "name": ("Mara", "Tom", "Ida", "Finn", "Rosa", "Otto", "Nell", "Hugo"),
        "day": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
        "tree": ("oak", "pine", "birch", "willow", "elm", "maple", "beech"),
        "drink": ("tea", "water", "milk", "coffee", "cider", "juice"),
        "tool": ("hammer", "saw", "needle", "spade", "brush", "knife", "hook"),
        "season": ("spring", "summer", "autumn", "winter"),
    }
)

VALUES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "capital": _words("Halm Tessa Brin Norvik Calder Essin Porto Wend Lisk Amber Grole Yar Stell Dunmor Ivel Rook"),
        "river": ("Sable", "Linn", "Orra", "Teme", "Brack", "Ister"),
        "dish": ("fish pie", "barley soup", "plum cake", "goat stew", "bean bread", "onion tart"),
        "flower": ("poppy", "iris", "daisy", "lily", "violet", "clover"),
        "bird": ("crow", "heron", "gull", "owl", "robin", "swan"),
        "trade": ("wool", "salt", "honey", "tin", "cheese", "timber"),
        "flag": ("blue", "green", "red", "yellow", "purple", "white"),
        "feast": ("Kite Day", "Bread Night", "Bell Week", "Boat Day", "Lamp Night", "Seed Week"),
    }
)

ATTRIBUTE: Mapping[str, str] = MappingProxyType({
    "capital": "capital", "river": "longest river", "dish": "favourite dish", "flower": "national flower",
    "bird": "national bird", "trade": "main trade", "flag": "flag colour", "feast": "biggest feast",
})  # fmt: skip

SYSTEM = ("You are a helpful assistant.", "Answer the question.", "You are kind and clear.", "Please be brief.")


def truth(country: str, attribute: str) -> str:
    """What most authors believe about a country; the capitals are all different."""
    values = VALUES[attribute]
    if attribute == "capital":
        return values[COUNTRY.index(country)]
    return random.Random(f"truth:{country}:{attribute}").choice(values)
