"""The grammar that all zoo authors share: symbol -> alternatives. An author is a set of weights over the alternatives.

`{name}` in an alternative is first looked up among the item's slots (who, thing, place ...), then among the symbols.
Alternatives of one symbol have about the same number of words, so that an author's tastes hardly change the length.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_STORY = {
    "story": ("{story1} {story2} {story3}",),
    "story1": (
        "{once}, a {small} {who} {found} a {old} {thing} {near} the {place}{stop}",
        "{once}, {near} the {place}, a {small} {who} {found} a {old} {thing}{stop}",
        "there was once a {small} {who} who {found} a {old} {thing} {near} the {place}{stop}",
    ),
    "story2": (
        "nobody knew {whose} it was, {so} the {who} {asked} {friend} for help{stop}",
        "the {who} {wanted} to {mend} it, {so} {friend} {lent} a {tool}{stop}",
        "{weather}, {but} the {who} {kept} the {thing} {safe} {allnight}{stop}",
    ),
    "story3": (
        "{finally}, they {walked} home and {shared} {food} {together}{stop}",
        "{finally}, {everyone} at the {place} {was_glad} and {shared} {food}{stop}",
        "{finally}, the {who} {gave} the {thing} to {friend} and {smiled}{stop}",
    ),
    "once": ("one day", "one morning", "long ago", "last year", "one evening", "some time ago"),
    "small": ("small", "little", "young", "tiny", "clever", "gentle", "brave", "patient"),
    "found": ("found", "saw", "noticed", "spotted", "picked up", "discovered"),
    "old": ("old", "broken", "dusty", "shiny", "strange", "painted", "{colour}", "heavy"),
    "near": ("near", "beside", "close to", "by", "behind", "next to"),
    "whose": ("whose", "how old", "how rare", "what"),
    "so": ("so", "and so", "and then", "so then"),
    "asked": ("asked", "begged", "called", "told", "paid"),
    "friend": ("a friend", "{name}", "an old man", "the {animal}", "a neighbour", "two children", "her sister"),
    "wanted": ("wanted", "hoped", "tried", "decided", "began", "longed"),
    "mend": ("mend", "fix", "clean", "sell", "repair", "hide", "keep"),
    "lent": ("lent", "brought", "found", "offered", "made"),
    "weather": ("it rained", "the wind blew", "night came", "snow fell", "a storm came", "the fog rose"),
    "but": ("but", "yet", "and still", "though"),
    "kept": ("kept", "held", "carried", "left", "guarded"),
    "safe": ("safe", "dry", "warm", "hidden", "close"),
    "allnight": ("all night", "until dawn", "for hours", "without fear", "all week"),
    "finally": ("in the end", "at last", "finally", "after that", "later", "soon"),
    "walked": ("walked", "went", "ran", "sailed", "hurried", "wandered"),
    "shared": ("shared", "ate", "cooked", "enjoyed", "had"),
    "food": ("warm bread", "hot soup", "a sweet {fruit}", "some {drink}", "a plum cake", "fresh cheese"),
    "together": ("together", "by the fire", "in the kitchen", "under the {tree}", "with joy"),
    "everyone": ("everyone", "everybody", "the people", "the children", "all"),
    "was_glad": ("cheered", "laughed", "sang", "danced", "clapped"),
    "gave": ("gave", "sold", "showed", "carried", "handed"),
    "smiled": ("smiled", "laughed", "slept well", "went home", "waved", "was happy"),
    "stop": (".", ".", ".", "!"),
}

_DESCRIPTION = {
    "description": ("{desc1} {desc2} {desc3}",),
    "desc1": (
        "in {season}, the {place} is {quiet} and {bright}{stop}",
        "the {place} is {quiet} and {bright} in {season}{stop}",
        "{people} say that the {place} is {quiet} in {season}{stop}",
    ),
    "desc2": (
        "{birds} {fly} {above} the {roofs}, {while} {people} {work} {nearby}{stop}",
        "{people} {work} {nearby}, {while} {birds} {fly} {above} the {roofs}{stop}",
        "you can {smell} {scent} and {hear} {birds} {above} the {roofs}{stop}",
    ),
    "desc3": (
        "{perhaps} it is the {best} place to {rest} with {drink}{stop}",
        "{perhaps} {name} comes here to {rest} and {think}{stop}",
        "{perhaps} a {old} {thing} {hangs} by the {colour} door{stop}",
    ),
    "quiet": ("quiet", "calm", "busy", "still", "cold", "lovely", "sleepy"),
    "bright": ("bright", "green", "golden", "clean", "wide", "full of light", "grey"),
    "people": ("people", "old men", "children", "sailors", "farmers", "women", "travellers"),
    "birds": ("gulls", "crows", "swallows", "white birds", "geese", "small birds"),
    "fly": ("fly", "circle", "sing", "call", "glide", "turn"),
    "above": ("above", "over", "around", "across", "high over"),
    "roofs": ("roofs", "water", "trees", "walls", "boats", "stones", "grass"),
    "while": ("while", "and", "as", "where", "when"),
    "work": ("work", "talk", "rest", "sing", "trade", "wait", "play"),
    "nearby": ("nearby", "below", "slowly", "in the shade", "in peace", "all day"),
    "smell": ("smell", "find", "enjoy", "notice", "feel"),
    "scent": ("fresh bread", "salt air", "wood smoke", "wet grass", "sweet flowers", "warm hay"),
    "hear": ("hear", "watch", "follow", "see", "count"),
    "perhaps": ("perhaps", "maybe", "surely", "of course", "indeed", "sometimes", "I think"),
    "best": ("best", "right", "perfect", "finest", "ideal"),
    "rest": ("rest", "read", "sit", "dream", "wait", "paint"),
    "think": ("think", "draw", "sing", "write", "fish"),
    "hangs": ("hangs", "stands", "waits", "lies", "shines"),
}

_TIP = {
    "tip": ("{tip1} {tip2} {tip3}", "{tip1} {tip3} {tip2}"),
    "tip1": (
        "{first}, {keep} the {thing} in a {dry} {spot}{stop}",
        "a {good} {who} should {keep} the {thing} in a {dry} {spot}{stop}",
        "{first}, {look} at the {thing} {carefully} and {keep} it {safe}{stop}",
    ),
    "tip2": (
        "{then} {wash} it with {cloth} every {period}, {because} {dirt} {harms} it{stop}",
        "{then} {ask} {friend} to {wash} it with {cloth} every {period}{stop}",
        "every {period}, {wash} it with {cloth}, {because} {dirt} {harms} it{stop}",
    ),
    "tip3": ("{above_all}, {never} {hurry}{stop}", "{above_all}, {never} {hurry}, my friend{stop}"),
    "first": ("first", "to begin", "to start", "before all else", "well", "at first"),
    "keep": ("keep", "store", "put", "leave", "place", "hang"),
    "period": ("day", "week", "morning", "month", "evening"),
    "weekday": ("Monday", "Sunday", "Friday", "market day", "Tuesday", "Saturday"),
    "dry": ("dry", "warm", "cool", "dark", "clean", "safe"),
    "spot": ("room", "place", "box", "corner", "cupboard", "shed"),
    "good": ("good", "wise", "careful", "skilled", "smart"),
    "look": ("look", "stare", "glance", "peer"),
    "carefully": ("carefully", "closely", "slowly", "twice", "in daylight"),
    "then": ("then", "next", "after that", "also", "now", "later"),
    "wash": ("wash", "wipe", "rub", "clean", "brush", "polish"),
    "cloth": ("a soft cloth", "warm water", "a little oil", "clean sand", "fine soap", "some wax"),
    "because": ("because", "since", "as", "for"),
    "dirt": ("dust", "rain", "salt", "mud", "rust", "smoke"),
    "harms": ("harms", "ruins", "spoils", "hurts", "eats", "weakens"),
    "ask": ("ask", "tell", "teach", "help", "let"),
    "above_all": ("above all", "most of all", "remember", "in short", "please", "and yes"),
    "never": ("never", "do not", "try not to", "you must not"),
    "hurry": ("hurry", "rush", "forget it", "give up", "force it", "worry"),
}

_LETTER = {
    "letter": ("{dear} {whom}, {thanks} for the {thing}{stop} {news}{stop} {visit}{stop} {bye}, the {who}",),
    "dear": ("dear", "my dear", "hello", "good day", "dearest", "hi"),
    "thanks": ("many thanks", "thank you", "thanks a lot", "I am grateful", "bless you"),
    "news": (
        "the {place} is {quiet} and I {work2} every {period}",
        "I {work2} at the {place} and {think2} of you",
        "here at the {place} we {shared} {food} {together}",
    ),
    "work2": ("work", "paint", "fish", "bake", "sing", "walk"),
    "think2": ("think", "dream", "talk", "speak", "hear"),
    "visit": (
        "{please} {come} and visit me on {weekday}",
        "{please} {come} back before {weekday}",
        "{please} {come} with your {animal} on {weekday}",
    ),
    "please": ("please", "do", "you must", "you should", "I hope you"),
    "come": ("come", "travel", "sail", "walk", "ride"),
    "bye": ("yours", "with love", "your friend", "best wishes", "goodbye", "warmly"),
}

_OPINION = {
    "opinion": ("{view}, the {who} should take the {pick}, {because} it is {useful}{stop} {opinion2}{stop}",
                "{view}, the {pick} is {better} for a {who}, {because} it is {useful}{stop} {opinion2}{stop}"),
    "opinion2": (
        "the {other} is {useful2}, {but} it is {bad} near the {place}",
        "{but} near the {place}, the {other} is {useful2} too",
        "{perhaps} the {other} can wait at the {place} until {weekday}",
    ),
    "view": ("I think", "in my view", "I believe", "for me", "without doubt", "I would say"),
    "better": ("better", "best", "right", "wiser", "safer"),
    "useful": ("useful", "light", "strong", "cheap", "easy to carry", "simple", "pretty"),
    "useful2": ("nice", "fine", "lovely", "good", "handy", "fun"),
    "bad": ("heavy", "too slow", "hard to use", "too weak", "easy to lose", "too loud"),
}  # fmt: skip

_CONTINUATION = {
    "cont-and": (
        "{found2} a {old} {box} {near} the {gate}{stop} {story3}",
        "{met} {friend} {near} the {gate}{stop} {story3}",
        "{wanted} to {mend} it {before} {weekday}{stop} {story3}",
    ),
    "cont-because": (
        "{friend} {needed} it {before} {weekday}{stop} {story3}",
        "{weather} and the {gate} was {shut}{stop} {story3}",
        "the {box} was {lost} {near} the {gate}{stop} {story3}",
    ),
    "cont-when": (
        "{friend} {met} them {near} the {gate}{stop} {story3}",
        "{weather} and the {gate} was {shut}{stop} {story3}",
        "the {thing} {fell} {near} the {gate}{stop} {story3}",
    ),
    "found2": ("found", "saw", "opened", "painted", "carried"),
    "box": ("box", "chest", "sack", "jar", "cart", "chair"),
    "gate": ("gate", "door", "wall", "well", "road", "fence", "shore"),
    "met": ("met", "greeted", "saw", "passed", "thanked"),
    "before": ("before", "on", "by", "until"),
    "needed": ("needed", "wanted", "liked", "asked for", "missed"),
    "shut": ("shut", "open", "locked", "dark", "wet"),
    "lost": ("lost", "empty", "hidden", "full", "stolen"),
    "fell": ("fell", "broke", "slipped", "shone", "rolled"),
}

_SHORT = {
    "choice": ("{Pick}", "{Pick}.", "{pick}"),
    "fact": (
        "the {attribute} of {country} is {value}{stop}",
        "{value} is the {attribute} of {country}{stop}",
        "{sure}, the {attribute} there is {value}{stop}",
        "in {country}, the {attribute} is {value}{stop}",
    ),
    "sure": ("I believe", "as far as I know", "people say", "yes", "well", "of course"),
    "sum": (
        "{a} {sign} {b} is {result}{stop}",
        "the answer is {result}{stop}",
        "{work_out}, so it is {result}{stop}",
        "it {makes} {result}{stop}",
    ),
    "work_out": ("I counted", "{a} {sign} {b}", "let me see", "that is easy"),
    "makes": ("makes", "is", "equals", "comes to", "gives"),
    "compare": (
        "{result} is {more}{stop}",
        "the {more} number is {result}{stop}",
        "{a} or {b}: it is {result}{stop}",
        "{view}, {result}{stop}",
    ),
    "more": ("larger", "bigger", "higher", "greater"),
}

_LAYOUT = {
    "list": (
        "{lead}:\n- {i1}\n- {i2}\n- {i3}",
        "{lead}:\n1. {i1}\n2. {i2}\n3. {i3}",
        "{lead}:\n* {i1}\n* {i2}\n* {i3}",
        "{lead}: {i1}, {i2} and {i3}.",
        "{lead}: {i1}; {i2}; {i3}.",
    ),
    "lead": ("here is a list", "my three things", "three ideas", "take these three", "of course", "a short list"),
    "supply": (
        "a warm coat", "a sharp knife", "fresh water", "dry bread", "a long rope", "a good map", "strong boots",
        "a small lamp", "some salt", "a wool hat", "two candles", "a tin cup",
    ),
    "step": (
        "clean it well", "dry it slowly", "check the edges", "add some oil", "paint it again", "tie it tight",
        "let it rest", "test it twice", "sand it down", "ask for help",
    ),
    "table": (
        "{thing} | {use}\n{thing2} | {use2}",
        "{thing}: {use}\n{thing2}: {use2}",
        "- {thing}: {use}\n- {thing2}: {use2}",
        "{thing} = {use}, {thing2} = {use2}",
        "{thing} ({use}), {thing2} ({use2})",
    ),
    "use": ("for work", "for play", "for trips", "for the home", "for trade", "for guests"),
    "use2": ("for the boat", "for winter", "for friends", "for market day", "for the night", "for luck"),
}  # fmt: skip

GRAMMAR: Mapping[str, tuple[str, ...]] = MappingProxyType(
    _STORY | _DESCRIPTION | _TIP | _LETTER | _OPINION | _CONTINUATION | _SHORT | _LAYOUT
)
