"""The little world of ferry-tiny: names, values and the facts that join them.

Everything here is written for this project. A *relation* says how one kind of
fact is told in a document, how it is asked and how it is answered. In the
templates ``{e}`` is the entity, ``{v}`` the value and ``{n}`` a free noun. A
capital letter is put at the start of a sentence by the caller.

Lists of names are cut in two: most entries serve training, every eighth one is
kept for held-out evaluation documents.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Callable


def words(text: str) -> list[str]:
    """Split a comma separated list."""
    return [w.strip() for w in text.replace("\n", " ").split(",") if w.strip()]


FIRST = words("""Ada, Agnes, Albin, Alma, Anders, Anton, Arne, Asta, August, Axel, Beata, Berta, Birgit, Boris, Bruno,
Carla, Cecil, Clara, Conrad, Cora, Dagmar, Daniel, Doris, Edgar, Edith, Einar, Elias, Ella, Elsa, Emil, Erik, Erna,
Esther, Ewa, Felix, Fiona, Flora, Frida, Georg, Gerda, Gilda, Greta, Gustav, Hanna, Harald, Hedda, Helga, Henrik,
Hilda, Hugo, Ida, Igor, Ines, Inga, Irma, Isak, Ivan, Ivy, Jakob, Jana, Jonas, Josef, Judith, Julia, Karin, Karl, Kasper,
Klara, Knut, Lars, Laura, Lea, Lena, Leo, Lidia, Linus, Lotta, Lucas, Magda, Malte, Marek, Maria, Marta, Max, Mia,
Milo, Mina, Moritz, Nadia, Nils, Nina, Nora, Olaf, Olga, Oskar, Otto, Paul, Paula, Petra, Pia, Rasmus, Rita, Robert,
Rosa, Rudi, Runa, Sara, Sigrid, Silas, Simon, Sofia, Sonja, Stina, Sven, Tage, Tea, Thea, Theo, Tilda, Tomas, Tora,
Ulla, Valter, Vera, Viktor, Viola, Vivi, Walter, Wanda, Wilma, Yann, Ylva, Zita,
Alice, Bob, Anna, Peter, Tom, John, Mary, Emma, Noah, David, Lisa, Sam""")

LAST = words("""Ahlberg, Amsel, Anker, Bakker, Berg, Bloom, Borg, Brandt, Brook, Carver, Clay, Cole, Dahl, Decker, Drake,
Dune, Eckert, Elm, Falk, Farrow, Fisk, Fjord, Flint, Frost, Gale, Garland, Graf, Grove, Haas, Hale, Hart, Hazel, Heller,
Holm, Horn, Husk, Jansen, Keel, Kern, Kessler, Klein, Kraft, Lamb, Lark, Lind, Locke, Lund, Marsh, Mast, Moor, Moss,
Nagel, Nash, North, Oakley, Olsen, Orr, Pike, Plum, Quill, Rask, Reed, Ridge, Rook, Rust, Sander, Sands, Shaw, Skov,
Sloop, Sound, Stern, Stone, Storm, Strand, Swift, Tarn, Thorn, Tide, Vance, Vogel, Wade, Wahl, Ward, Weir, Wick, Winter,
Wolf, Wren, Yarrow""")

BOAT = words("""Marigold, Grey Heron, Sea Lark, Northern Star, Silver Eel, Blue Petrel, Old Comrade, Red Kite, Morning Dew,
White Rose, Swallow, Evening Tide, Little Bear, Golden Hind, Black Swan, Quiet Hour, Seagull, Good Hope, Salt Wind, Amber,
Cormorant, Dolphin, Halcyon, Juniper, Kestrel, Mermaid, Nightingale, Osprey, Puffin, Thistle, Wild Goose, Winter Moon,
Bright Water, Lucky Penny, Two Sisters, Three Brothers, Brave Heart, Iron Duke, Merry Widow, Stone Bridge, Green Apple,
Lighthouse Queen, Harbour Pride, Southern Cross, Young Fox, Sandpiper, Tern, Curlew, Plover, Storm Petrel, Moonrise,
Long Journey, Far Shore, First Light, Last Farewell, Copper Kettle, Summer Rain, Autumn Leaf, Snowdrop, Bluebell""")

PLACE_ADJ = words("""Blue, Red, Green, Golden, Silver, White, Black, Old, Little, Rusty, Broken, Merry, Sleepy, Crooked, Lucky,
Three, Seven, Copper, Drunken, Salty, Proud, Quiet, Burning, Frozen""")
PLACE_NOUN = words("""Anchor, Lantern, Compass, Barrel, Herring, Mermaid, Whale, Bell, Kettle, Rudder, Oyster, Pelican, Crab,
Hook, Candle, Net, Star, Goose, Lion, Sailor, Helm, Pearl, Boot, Drum""")
PLACE_KIND = words("Inn, Bakery, Tavern, Cafe, Hotel, School, Museum, Chapel, Theatre, Market, Library, Smithy, Mill, Shop, Hall")
TOWN = words("""Orlenby, Saltmere, Kingsholm, Grimhaven, Westerwick, Eastcove, Lundport, Highcliff, Marrow Bay, Stonequay,
Ferrisund, Oldhaven, Birkness, Ravensea, Holmstrand, Pebble Point, Tarnby, Windham, Dunmouth, Skarvik, Nettlesea, Cranport,
Ashwick, Longshore, Fairhaven, Blackwater, Silver Bay, Northmouth, Kelpwick, Gullhaven, Amberness, Mossport, Thornsea, Velby""")
STREET = words("""Rope, Mill, Chapel, Harbour, Market, Fish, Salt, Anchor, Bell, Garden, Church, Bridge, Castle, Sand, Well, Sail,
Tar, Net, Lamp, School, Station, Water, Wind, Orchard, Baker, Cooper, Tanner, Rose, Linden, Birch, Elder, Quay""")
STREET_KIND = words("Street, Lane, Road, Alley, Square, Hill, Row")
FAR = words("France, Germany, Spain, Italy, Japan, China, England, Norway, Sweden, Denmark, Paris, Berlin, London, Rome, Tokyo, Hamburg, Vienna, Madrid, Oslo, Lisbon, Dublin, Canada, India, Egypt")
DOG = words("""Bosun, Biscuit, Barnacle, Rusty, Patch, Pepper, Skipper, Bramble, Button, Captain, Cinder, Digger, Fudge, Ginger,
Hazelnut, Jet, Kipper, Mustard, Nipper, Noodle, Pickle, Pirate, Rascal, Rocket, Sailor, Scout, Shadow, Smoky, Snow, Socks,
Sparky, Spot, Tar, Teddy, Toffee, Topsy, Turnip, Waffle, Whisky, Ziggy, Bella, Cleo, Daisy, Lulu, Molly, Poppy, Tilly""")

COLOUR = words("""red, blue, green, yellow, white, black, grey, brown, orange, purple, pink, golden, silver, dark blue, dark green,
dark red, light blue, light green, pale yellow, pale grey, bright red, bright orange, cream, copper, violet, scarlet,
turquoise, olive, sand, crimson""")
MATERIAL = words("oak, pine, steel, iron, brass, copper, tin, glass, leather, wool, linen, silk, stone, marble, clay, silver, bone, cork, straw, birch, elm, canvas, paper, ivory, rubber")
GOODS = words("""apples, barley, beans, bricks, butter, candles, carpets, cement, cheese, coal, coffee, copper, corn, cotton, cups,
eggs, figs, firewood, flour, furniture, glass, grain, hay, herring, honey, hops, ice, iron, lamp oil, leather, lemons, letters,
machines, mackerel, marble, medicine, melons, milk, mirrors, mussels, nails, newspapers, olive oil, onions, oranges, oysters,
paint, paper, peas, pears, pepper, pianos, planks, plums, porcelain, potatoes, rice, roof tiles, rope, roses, rye, sacks of mail,
sailcloth, salt, sand, seeds, sheep, silk, soap, spices, stones, sugar, tea, timber, tin, tobacco, tools, toys, turnips,
vinegar, walnuts, wheat, wine, wool, barrels of tar, bicycles, books, boots, clocks, umbrellas, violins""")
FOOD = words("""fish soup, apple pie, fried herring, rye bread, pea soup, plum cake, smoked eel, potato salad, oat porridge,
pancakes, mussels, onion tart, lentil stew, roast duck, cheese, ginger biscuits, honey cake, pickled cucumbers, dumplings,
crab, bean stew, mushroom pie, baked apples, cherry jam, cabbage rolls, egg noodles, salted butter, rice pudding,
walnut bread, carrot soup, blueberries, waffles, stewed pears, boiled eggs, chestnuts, cinnamon buns, lemon cake,
tomato soup, sausages, toast, raisin bread, hot chocolate, barley soup, beetroot, almonds""")
JOB = words("""baker, teacher, smith, nurse, doctor, painter, carpenter, sailor, fisherman, postman, gardener, tailor, cook,
clockmaker, sailmaker, rope maker, shipwright, librarian, watchman, ferryman, pilot, engineer, stoker, net mender, cooper,
butcher, barber, judge, lawyer, miller, miner, musician, singer, dancer, actor, writer, printer, potter, weaver, tanner,
shoemaker, chemist, florist, diver, customs officer, lighthouse keeper, harbour master, crane driver, ticket seller,
bell ringer, glass blower, mapmaker, bookbinder, plumber, roofer, mason""")
ANIMAL = words("""cat, parrot, goat, rabbit, tortoise, hen, goose, pony, donkey, hedgehog, crow, owl, lizard, hamster, ferret,
canary, pigeon, duck, pig, sheep, turtle, mouse, squirrel, fox, snail, seal, magpie, frog, horse, peacock""")
INSTRUMENT = words("""violin, flute, drum, harp, accordion, trumpet, piano, guitar, cello, horn, organ, banjo, fiddle, oboe, tuba,
lute, bagpipe, mandolin, clarinet, triangle, whistle, bassoon, zither, trombone""")
WEATHER = words("""sunny, rainy, foggy, stormy, cloudy, snowy, windy, warm, cold, icy, misty, hot, mild, grey, clear, dry, wet,
frosty, calm, thundery, humid, chilly, bright, hazy""")
WIND = words("north, south, east, west, north-east, north-west, south-east, south-west")
DAY = words("Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday")
MONTH = words("January, February, March, April, May, June, July, August, September, October, November, December")
EVENT = words("""herring fair, lantern parade, rowing race, harbour concert, flower market, boat auction, kite contest, bell feast,
cake contest, swimming race, book sale, town meeting, sail blessing, fish market, dance evening, chess match, puppet play,
pie contest, choir evening, winter fair, regatta, wool market, film night, horse fair, spring cleaning, rope contest,
sand castle contest, fire drill, school play, poetry evening, night market, oyster feast""")
THING = words("""hat, coat, scarf, bag, book, cup, lamp, umbrella, boat, bicycle, house, door, roof, gate, chair, table, blanket,
box, basket, ring, watch, pipe, shirt, jacket, belt, cap, bottle, bucket, kettle, pot, plate, spoon, knife, clock, mirror,
piano, cart, tent, flag, sail, oar, net, rope, anchor, bell, key, bed, sofa, cushion, curtain, carpet, vase, ladder, shed,
fence, window, desk, pen, notebook, map, compass, telescope, whistle, tie, glove, boot, dress, apron, car, van, wagon, sled,
kite, ball, doll, drum, guitar, candle, lantern, suitcase, trunk, barrel, bench, garage, shop, garden chair, mug""")
SPOT = words("""mat, bench, barrel, clock, flower pot, stove, bed, table, chair, boat, ladder, cupboard, piano, staircase, well,
apple tree, oven, bookcase, mirror, door, window, rain barrel, cart, counter, fishing net, sofa, statue, lamp, anchor, basket""")
PREP = words("under, behind, beside, on, near, below, next to, in front of, close to")
HIDDEN = words("spare key, treasure map, gold coin, old letter, silver ring, lost ticket, secret book, toolbox, ship's log, cash box, first aid box, rope ladder, red flag, spare lamp, tin whistle, pearl, diary, chart, medal, spyglass")
PAYS = words("crowns, coins, pennies, shillings, marks, dollars, florins, euros")
FILLER = words("""The gulls were loud in the morning., Nobody was in a hurry that day., The water was still and dark.,
It smelled of tar and salt., A bell rang far away., Children played on the steps., The nets were drying in the sun.,
Everybody in town knows this., The old crane creaked in the wind., Some say that it was different once.,
The tide came in slowly., There was much to do., The lamps were lit early., People like to talk about it.,
The harbour was quiet at noon., A cart rolled over the stones., The mail came late again., Smoke rose from the chimneys.,
It was an ordinary week., The sea was calm., Two men were mending a net., Somebody was singing on the quay.,
That is how it has always been., The rain had just stopped., A cat slept on a coil of rope., The coffee was hot and strong.""")

OPENING = words("""Everybody knows that, In those days, As far as I know, They say that, It is true that, At the moment, This year, In summer,
In winter, According to the harbour book, Since last year, As always, By the way, People say that, It is well known that,
On the notice board it says that, Strangely enough, As you can read in the paper, Now, Of course""")
CLOSING = words("""as everybody knows, they say, as always, if the book is right, at least in summer, which surprises many, for once,
and nobody minds, and that is a good thing, since last winter, as the harbour book says, by the way""")

ONSET = words("b, br, c, ch, d, dr, f, fl, g, gr, h, j, k, kl, l, m, n, p, pr, r, s, sh, sk, sl, st, t, th, tr, v, w, y, z")
VOWEL = words("a, e, i, o, u, a, e, i, o, ai, ea, ee, oo, ou, ia")
CODA = words("b, d, f, g, k, l, ld, lm, m, n, nd, nk, ng, p, r, rd, rk, rn, s, sk, st, t, th, v, x, z") + [""] * 14


def syllables(rng: random.Random, low: int = 1, high: int = 3) -> str:
    """Invent a pronounceable word of low to high syllables."""
    n = rng.randint(low, high)
    out = "".join(rng.choice(ONSET) + rng.choice(VOWEL) + (rng.choice(CODA) if i == n - 1 or rng.random() < 0.3 else "") for i in range(n))
    return out if len(out) > 2 else out + rng.choice("nrlst")


class Lists:
    """Draws names and values; ``heldout`` selects the evaluation part."""

    def __init__(self, rng: random.Random, heldout: bool = False, invented: float = 0.4):
        self.rng, self.heldout, self.invented = rng, heldout, invented

    def pick(self, items: list[str]) -> str:
        """One entry of a *name* list, from this side of the split."""
        while True:
            i = self.rng.randrange(len(items))
            if (i % 8 == 5) == self.heldout:
                return items[i]

    def some(self, items: list[str]) -> str:
        """One entry of a *value* list (not split)."""
        return self.rng.choice(items)

    def name(self, items: list[str], low: int = 2, high: int = 3) -> str:
        if self.rng.random() < self.invented:
            return syllables(self.rng, low, high).capitalize()
        return self.pick(items)

    def person(self) -> str:
        first = self.name(FIRST, 1, 3)
        return f"{first} {self.name(LAST, 1, 3)}" if self.rng.random() < 0.55 else first

    def boat(self) -> str:
        return "the " + self.name(BOAT)

    def place(self) -> str:
        kind = self.some(PLACE_KIND)
        r = self.rng.random()
        if r < 0.5:
            return f"the {self.pick(PLACE_ADJ)} {self.pick(PLACE_NOUN)} {kind}" if r < 0.25 else f"the {self.pick(PLACE_ADJ)} {self.pick(PLACE_NOUN)}"
        return f"the {self.name(LAST + TOWN)} {kind}" if r < 0.8 else f"the {self.pick(PLACE_NOUN)} {kind}"

    def town(self) -> str:
        return self.name(TOWN)

    def street(self) -> str:
        return f"{self.name(STREET)} {self.some(STREET_KIND)}"

    def home(self) -> str:
        r = self.rng.random()
        return self.street() if r < 0.6 else self.town() if r < 0.85 else self.some(FAR)

    def dog(self) -> str:
        return self.name(DOG, 1, 2)

    def pier(self) -> str:
        return f"Pier {self.rng.randint(1, 40)}" if self.rng.random() < 0.8 else f"Pier {self.some(list('BCDFGHKL'))}"

    def event(self) -> str:
        return "the " + self.some(EVENT)

    def day(self) -> str:
        return self.some(DAY)

    def colour(self) -> str:
        return self.some(COLOUR)

    def material(self) -> str:
        return self.some(MATERIAL)

    def goods(self) -> str:
        r = self.rng.random()
        return self.some(GOODS) if r < 0.75 else f"{self.some(GOODS)} and {self.some(GOODS)}"

    def food(self) -> str:
        return self.some(FOOD)

    def job(self) -> str:
        return self.some(JOB)

    def animal(self) -> str:
        return self.some(ANIMAL)

    def instrument(self) -> str:
        return self.some(INSTRUMENT)

    def weather(self) -> str:
        return self.some(WEATHER)

    def wind(self) -> str:
        return self.some(WIND)

    def time(self) -> str:
        return f"{self.rng.randint(0, 23)}:{self.rng.randrange(0, 60, 5):02d}" if self.rng.random() < 0.8 else f"{self.rng.randint(0, 23)}:{self.rng.randrange(60):02d}"

    def price(self) -> str:
        return f"{self.rng.randint(2, 99) if self.rng.random() < 0.8 else self.rng.randint(100, 999)} {self.some(PAYS)}"

    def number(self) -> str:
        r = self.rng.random()
        top = 20 if r < 0.3 else 100 if r < 0.7 else 1000
        return str(self.rng.randint(2, top))

    def age(self) -> str:
        return str(self.rng.randint(3, 99))

    def code(self) -> str:
        return str(self.rng.randint(1000, 9999)) if self.rng.random() < 0.7 else str(self.rng.randint(10000, 99999))

    def year(self) -> str:
        return str(self.rng.randint(1702, 2024))

    def date(self) -> str:
        return f"{self.rng.randint(1, 28)} {self.some(MONTH)}"

    def spot(self) -> str:
        adj = self.some(COLOUR + ["old", "big", "small", "broken", "new", "round", "long", "stone", "wooden"]) + " " if self.rng.random() < 0.6 else ""
        return f"{self.some(PREP)} the {adj}{self.some(SPOT)}"

    def hidden(self) -> str:
        return "the " + self.some(HIDDEN)

    def nonsense(self) -> str:
        return syllables(self.rng, 1, 3)

    def nonsensename(self) -> str:
        return syllables(self.rng, 1, 3).capitalize()

    def thing(self) -> str:
        return f"a {self.some(COLOUR)} {self.some(THING)}"

    def metres(self) -> str:
        return f"{self.rng.randint(4, 180)} metres"

    def minutes(self) -> str:
        return f"{self.rng.randint(5, 180)} minutes"

    def degrees(self) -> str:
        return f"{self.rng.randint(1, 34)} degrees"


@dataclass
class Relation:
    """How one kind of fact is told, asked and answered."""

    key: str
    entity: str
    value: str
    tells: list[str]
    asks: list[str]
    answer: str
    inverse: tuple[list[str], str] | None = None
    noun: Callable[[Lists], str] | None = None
    group: str = field(default="")

    def __post_init__(self):
        self.group = self.group or self.entity


def R(key, entity, value, tells, asks, answer, inverse=None, noun=None) -> Relation:
    """Shorthand: tellings, askings are separated by `` / ``."""
    inv = (inverse[0].split(" / "), inverse[1]) if inverse else None
    return Relation(key, entity, value, tells.split(" / "), asks.split(" / "), answer, inv, noun)


RELATIONS = [
    # boats
    R("captain", "boat", "person",
      "the captain of {e} is {v} / {e} has a captain called {v} / {v} is the captain of {e} / {e} is commanded by Captain {v} / {e} sails under Captain {v}",
      "who is the captain of {e}? / who commands {e}? / what is the name of the captain of {e}? / which captain does {e} have?",
      "the captain of {e} is {v}.", ("which boat has {v} as captain? / of which boat is {v} the captain?", "{v} is the captain of {e}.")),
    R("mate", "boat", "person",
      "the first mate of {e} is {v} / {v} is the first mate of {e} / the first mate on {e} is called {v}",
      "who is the first mate of {e}? / what is the name of the first mate of {e}? / who is first mate on {e}?",
      "the first mate of {e} is {v}."),
    R("engineer", "boat", "person",
      "the engineer of {e} is {v} / the engine of {e} is looked after by {v} / {v} is the engineer of {e}",
      "who is the engineer of {e}? / who looks after the engine of {e}? / what is the name of the engineer of {e}?",
      "the engineer of {e} is {v}."),
    R("boatcook", "boat", "person",
      "the cook of {e} is {v} / {v} is the cook on {e} / the meals on {e} are cooked by {v}",
      "who is the cook of {e}? / who cooks on {e}? / what is the name of the cook of {e}?",
      "the cook of {e} is {v}."),
    R("boatowner", "boat", "person",
      "the owner of {e} is {v} / {e} belongs to {v} / {v} owns {e}",
      "who is the owner of {e}? / who owns {e}? / to whom does {e} belong?",
      "the owner of {e} is {v}."),
    R("cargo", "boat", "goods",
      "{e} carries {v} / the cargo of {e} is {v} / {e} is loaded with {v} / {e} brings {v} to the harbour",
      "what does {e} carry? / what is the cargo of {e}? / what is {e} loaded with? / what cargo does {e} have?",
      "{e} carries {v}.", ("which boat carries {v}? / what boat is loaded with {v}?", "the boat that carries {v} is {e}.")),
    R("hull", "boat", "colour",
      "{e} is painted {v} / the hull of {e} is {v} / {e} has a {v} hull / the colour of {e} is {v}",
      "what colour is {e}? / what is the colour of {e}? / what colour is the hull of {e}? / how is {e} painted?",
      "{e} is painted {v}."),
    R("funnel", "boat", "colour",
      "the funnel of {e} is {v} / {e} has a {v} funnel",
      "what colour is the funnel of {e}? / what is the colour of the funnel of {e}?",
      "the funnel of {e} is {v}."),
    R("berth", "boat", "pier",
      "{e} lies at {v} / {e} is moored at {v} / the berth of {e} is {v} / {e} always docks at {v}",
      "where does {e} lie? / at which pier does {e} lie? / where is {e} moored? / where is {e}? / which pier does {e} use?",
      "{e} lies at {v}.", ("which boat lies at {v}? / what boat is moored at {v}?", "the boat at {v} is {e}.")),
    R("departs", "boat", "time",
      "{e} leaves at {v} / {e} departs at {v} / the departure of {e} is at {v} / {e} sails every day at {v}",
      "when does {e} leave? / at what time does {e} depart? / when does {e} sail? / what time does {e} leave?",
      "{e} leaves at {v}.", ("which boat leaves at {v}? / what boat departs at {v}?", "the boat that leaves at {v} is {e}.")),
    R("arrives", "boat", "time",
      "{e} arrives at {v} / {e} comes back at {v} / the arrival of {e} is at {v}",
      "when does {e} arrive? / at what time does {e} come back? / what time does {e} arrive?",
      "{e} arrives at {v}."),
    R("bound", "boat", "town",
      "{e} sails to {v} / {e} is bound for {v} / the next port of {e} is {v} / {e} goes to {v}",
      "where does {e} sail? / where does {e} go? / what is the next port of {e}? / where is {e} bound?",
      "{e} sails to {v}.", ("which boat sails to {v}? / what boat goes to {v}?", "the boat that sails to {v} is {e}.")),
    R("homeport", "boat", "town",
      "the home port of {e} is {v} / {e} comes from {v} / {e} has its home in {v}",
      "what is the home port of {e}? / where does {e} come from?",
      "the home port of {e} is {v}."),
    R("length", "boat", "metres",
      "{e} is {v} long / the length of {e} is {v}",
      "how long is {e}? / what is the length of {e}?",
      "{e} is {v} long."),
    R("built", "boat", "year",
      "{e} was built in {v} / {e} was launched in {v}",
      "when was {e} built? / in which year was {e} built? / how old is {e}?",
      "{e} was built in {v}."),
    R("seats", "boat", "number",
      "{e} has room for {v} passengers / {e} takes {v} passengers / on {e} there are seats for {v} passengers",
      "how many passengers does {e} take? / how many passengers fit on {e}? / for how many passengers does {e} have room?",
      "{e} has room for {v} passengers."),
    R("crew", "boat", "number",
      "the crew of {e} has {v} members / {e} has a crew of {v}",
      "how big is the crew of {e}? / how many members does the crew of {e} have?",
      "the crew of {e} has {v} members."),
    R("ticket", "boat", "price",
      "a ticket for {e} costs {v} / the fare on {e} is {v} / a passage on {e} costs {v}",
      "how much is a ticket for {e}? / what does a ticket for {e} cost? / what is the fare on {e}? / how much does a ticket for {e} cost?",
      "a ticket for {e} costs {v}."),
    R("crossing", "boat", "minutes",
      "the crossing with {e} takes {v} / {e} needs {v} for the crossing",
      "how long does the crossing with {e} take? / how long does {e} need for the crossing?",
      "the crossing with {e} takes {v}."),
    R("boatthing", "boat", "colour",
      "the {n} of {e} is {v} / {e} has a {v} {n}",
      "what colour is the {n} of {e}? / what is the colour of the {n} of {e}?",
      "the {n} of {e} is {v}.", noun=lambda L: L.some(THING)),
    R("boatrole", "boat", "person",
      "the {n} of {e} is {v} / {v} is the {n} of {e}",
      "who is the {n} of {e}? / what is the name of the {n} of {e}?",
      "the {n} of {e} is {v}.", noun=lambda L: L.some(["stoker", "pilot", "doctor", "helmsman", "purser", "ship's boy", "second mate", "carpenter", "painter", "diver"])),
    # people
    R("job", "person", "job",
      "{e} works as a {v} / {e} is a {v} / the job of {e} is {v} / {e} earns money as a {v}",
      "what is the job of {e}? / what does {e} work as? / what does {e} do for a living? / what is {e}'s job?",
      "{e} works as a {v}.", ("who works as a {v}? / who is a {v}?", "the {v} is {e}.")),
    R("lives", "person", "home",
      "{e} lives in {v} / the home of {e} is in {v} / {e} has a house in {v}",
      "where does {e} live? / where does {e} live? / what is the address of {e}?",
      "{e} lives in {v}.", ("who lives in {v}?", "the person who lives in {v} is {e}.")),
    R("born", "person", "town",
      "{e} was born in {v} / {e} comes from {v} / {e} grew up in {v}",
      "where was {e} born? / where does {e} come from? / in which town was {e} born?",
      "{e} comes from {v}."),
    R("age", "person", "age",
      "{e} is {v} years old / the age of {e} is {v}",
      "how old is {e}? / what is the age of {e}?",
      "{e} is {v} years old."),
    R("birthday", "person", "date",
      "the birthday of {e} is on {v} / {e} has a birthday on {v} / {e} was born on {v}",
      "when is the birthday of {e}? / on which day is the birthday of {e}? / when was {e} born?",
      "the birthday of {e} is on {v}."),
    R("likes", "person", "food",
      "{e} likes {v} / the favourite food of {e} is {v} / {e} loves to eat {v}",
      "what does {e} like? / what is the favourite food of {e}? / what does {e} like to eat?",
      "{e} likes {v}.", ("who likes {v}?", "{e} likes {v}.")),
    R("breakfast", "person", "food",
      "for breakfast {e} has {v} / the breakfast of {e} is {v}",
      "what does {e} have for breakfast? / what is the breakfast of {e}?",
      "for breakfast {e} has {v}."),
    R("pet", "person", "animal",
      "{e} has a pet {v} / {e} keeps a {v} / the pet of {e} is a {v}",
      "what pet does {e} have? / which animal does {e} keep? / what is the pet of {e}?",
      "{e} keeps a {v}.", ("who keeps a {v}? / who has a {v}?", "the person who keeps a {v} is {e}.")),
    R("plays", "person", "instrument",
      "{e} plays the {v} / the instrument of {e} is the {v} / in the evening {e} plays the {v}",
      "what does {e} play? / which instrument does {e} play? / what is the instrument of {e}?",
      "{e} plays the {v}.", ("who plays the {v}?", "{e} plays the {v}.")),
    R("locker", "person", "number",
      "{e} has locker number {v} / the locker of {e} is number {v}",
      "what is the locker number of {e}? / which locker does {e} have? / what number is the locker of {e}?",
      "the locker of {e} is number {v}."),
    R("code", "person", "code",
      "the secret number of {e} is {v} / {e} has the secret number {v}",
      "what is the secret number of {e}? / which secret number does {e} have?",
      "the secret number of {e} is {v}."),
    R("dayoff", "person", "day",
      "{e} is free on {v} / the day off of {e} is {v} / {e} does not work on {v}",
      "when is {e} free? / on which day is {e} free? / what is the day off of {e}?",
      "{e} is free on {v}."),
    R("friend", "person", "person",
      "the best friend of {e} is {v} / {e} has a best friend called {v}",
      "who is the best friend of {e}? / what is the name of the best friend of {e}?",
      "the best friend of {e} is {v}."),
    R("sister", "person", "person",
      "the sister of {e} is called {v} / {e} has a sister called {v}",
      "what is the name of the sister of {e}? / who is the sister of {e}? / what is {e}'s sister called?",
      "the sister of {e} is called {v}."),
    R("brother", "person", "person",
      "the brother of {e} is called {v} / {e} has a brother called {v}",
      "what is the name of the brother of {e}? / who is the brother of {e}? / what is {e}'s brother called?",
      "the brother of {e} is called {v}."),
    R("bought", "person", "goods",
      "at the market {e} bought {v} / {e} bought {v} / {e} came home with {v}",
      "what did {e} buy? / what did {e} buy at the market?",
      "{e} bought {v}."),
    R("paid", "person", "price",
      "{e} paid {v} / {e} paid {v} at the counter",
      "how much did {e} pay? / what did {e} pay?",
      "{e} paid {v}."),
    R("went", "person", "place",
      "{e} went to {v} / {e} walked to {v}",
      "where did {e} go? / where did {e} walk?",
      "{e} went to {v}."),
    R("favcolour", "person", "colour",
      "the favourite colour of {e} is {v} / {e} likes the colour {v}",
      "what is the favourite colour of {e}? / which colour does {e} like?",
      "the favourite colour of {e} is {v}."),
    R("petname", "person", "dog",
      "{e} has a {n} called {v} / the {n} of {e} is called {v} / {e}'s {n} is called {v}",
      "what is the {n} of {e} called? / what is the name of the {n} of {e}? / what is {e}'s {n} called?",
      "the {n} of {e} is called {v}.", noun=lambda L: L.some(ANIMAL)),
    R("hascount", "person", "number",
      "{e} has {v} {n} / {e} owns {v} {n}",
      "how many {n} does {e} have? / how many {n} does {e} own?",
      "{e} has {v} {n}.", noun=lambda L: L.some([g for g in GOODS if g.endswith("s")])),
    # places
    R("keeper", "place", "person",
      "the owner of {e} is {v} / {e} is run by {v} / {e} belongs to {v} / {v} runs {e}",
      "who is the owner of {e}? / who runs {e}? / who owns {e}?",
      "the owner of {e} is {v}.", ("what does {v} run?", "{v} runs {e}.")),
    R("opens", "place", "time",
      "{e} opens at {v} / the doors of {e} open at {v}",
      "when does {e} open? / at what time does {e} open?",
      "{e} opens at {v}."),
    R("closes", "place", "time",
      "{e} closes at {v} / the doors of {e} close at {v}",
      "when does {e} close? / at what time does {e} close?",
      "{e} closes at {v}."),
    R("closedday", "place", "day",
      "{e} is closed on {v} / on {v} {e} is closed",
      "when is {e} closed? / on which day is {e} closed?",
      "{e} is closed on {v}."),
    R("stands", "place", "street",
      "{e} stands in {v} / {e} is in {v} / you find {e} in {v}",
      "where is {e}? / in which street is {e}? / where does {e} stand? / where can I find {e}?",
      "{e} is in {v}."),
    R("door", "place", "colour",
      "the door of {e} is {v} / {e} has a {v} door",
      "what colour is the door of {e}? / what is the colour of the door of {e}?",
      "the door of {e} is {v}."),
    R("roof", "place", "colour",
      "the roof of {e} is {v} / {e} has a {v} roof",
      "what colour is the roof of {e}? / what is the colour of the roof of {e}?",
      "the roof of {e} is {v}."),
    R("sells", "place", "goods",
      "{e} sells {v} / at {e} you can buy {v}",
      "what does {e} sell? / what can I buy at {e}? / what is sold at {e}?",
      "{e} sells {v}."),
    R("dish", "place", "food",
      "the speciality of {e} is {v} / {e} is famous for {v} / {e} serves {v}",
      "what is the speciality of {e}? / what is {e} famous for? / what does {e} serve?",
      "{e} is famous for {v}."),
    R("rooms", "place", "number",
      "{e} has {v} rooms / there are {v} rooms in {e}",
      "how many rooms does {e} have? / how many rooms are there in {e}?",
      "{e} has {v} rooms."),
    R("founded", "place", "year",
      "{e} was founded in {v} / {e} was opened in {v}",
      "when was {e} founded? / in which year was {e} founded? / when was {e} opened?",
      "{e} was founded in {v}."),
    R("entry", "place", "price",
      "a visit to {e} costs {v} / the entrance fee of {e} is {v}",
      "what does a visit to {e} cost? / how much is a visit to {e}? / what is the entrance fee of {e}?",
      "a visit to {e} costs {v}."),
    # dogs
    R("dogowner", "dog", "person",
      "the dog {e} belongs to {v} / the owner of the dog {e} is {v} / {v} has a dog called {e}",
      "who owns the dog {e}? / who is the owner of the dog {e}? / to whom does the dog {e} belong?",
      "the dog {e} belongs to {v}.", ("what is the name of the dog of {v}? / what is the dog of {v} called?", "the dog of {v} is called {e}.")),
    R("dogcolour", "dog", "colour",
      "the dog {e} is {v} / the fur of the dog {e} is {v}",
      "what colour is the dog {e}? / what is the colour of the dog {e}?",
      "the dog {e} is {v}."),
    R("dogsleeps", "dog", "spot",
      "the dog {e} sleeps {v} / at night the dog {e} lies {v}",
      "where does the dog {e} sleep? / where does the dog {e} lie at night?",
      "the dog {e} sleeps {v}."),
    R("dogeats", "dog", "food",
      "the dog {e} likes {v} / the dog {e} loves to eat {v}",
      "what does the dog {e} like? / what does the dog {e} like to eat?",
      "the dog {e} likes {v}."),
    R("dogage", "dog", "age",
      "the dog {e} is {v} years old", "how old is the dog {e}? / what is the age of the dog {e}?",
      "the dog {e} is {v} years old."),
    # towns and piers
    R("people", "town", "number",
      "the town of {e} has {v} houses / there are {v} houses in {e}",
      "how many houses are there in {e}? / how many houses does {e} have?",
      "there are {v} houses in {e}."),
    R("mayor", "town", "person",
      "the mayor of {e} is {v} / {v} is the mayor of {e} / the mayor of {e} is called {v}",
      "who is the mayor of {e}? / what is the name of the mayor of {e}?",
      "the mayor of {e} is {v}."),
    R("townrole", "town", "person",
      "the {n} of {e} is {v} / {v} is the {n} of {e}",
      "who is the {n} of {e}? / what is the name of the {n} of {e}?",
      "the {n} of {e} is {v}.", noun=lambda L: L.some(JOB)),
    R("townfamous", "town", "goods",
      "{e} is known for {v} / the people of {e} trade in {v}",
      "what is {e} known for? / what do the people of {e} trade in?",
      "{e} is known for {v}."),
    R("towndistance", "town", "minutes",
      "the way to {e} takes {v} / it takes {v} to get to {e}",
      "how long does it take to get to {e}? / how long is the way to {e}?",
      "the way to {e} takes {v}."),
    R("piermaster", "pier", "person",
      "the master of {e} is {v} / {e} is guarded by {v} / {v} is the watchman of {e}",
      "who is the master of {e}? / who guards {e}? / who is the watchman of {e}?",
      "{e} is guarded by {v}."),
    R("pierlength", "pier", "metres",
      "{e} is {v} long / the length of {e} is {v}", "how long is {e}? / what is the length of {e}?", "{e} is {v} long."),
    R("pierlamp", "pier", "colour",
      "the lamp on {e} is {v} / {e} has a {v} lamp",
      "what colour is the lamp on {e}? / which lamp does {e} have?", "the lamp on {e} is {v}."),
    R("piergoods", "pier", "goods",
      "on {e} they unload {v} / {e} is used for {v}",
      "what do they unload on {e}? / what is {e} used for?", "on {e} they unload {v}."),
    # days
    R("weather", "day", "weather",
      "on {e} the weather was {v} / {e} was {v} / the weather on {e} was {v}",
      "how was the weather on {e}? / what was the weather like on {e}? / what was the weather on {e}?",
      "on {e} the weather was {v}.", ("on which day was the weather {v}? / which day was {v}?", "the weather was {v} on {e}.")),
    R("wind", "day", "wind",
      "on {e} the wind came from the {v} / the wind on {e} came from the {v}",
      "where did the wind come from on {e}? / from where did the wind blow on {e}?",
      "on {e} the wind came from the {v}."),
    R("temperature", "day", "degrees",
      "on {e} it was {v} warm / the temperature on {e} was {v}",
      "how warm was it on {e}? / what was the temperature on {e}?",
      "on {e} it was {v} warm."),
    R("watch", "day", "person",
      "on {e} the night watch is kept by {v} / the night watch on {e} is {v}",
      "who keeps the night watch on {e}? / who has the night watch on {e}?",
      "on {e} the night watch is kept by {v}."),
    # events
    R("eventday", "event", "day",
      "{e} is on {v} / {e} takes place on {v} / {e} will be held on {v}",
      "when is {e}? / on which day is {e}? / when does {e} take place?",
      "{e} is on {v}."),
    R("eventplace", "event", "place",
      "{e} is held at {v} / the place of {e} is {v}",
      "where is {e}? / where is {e} held? / where does {e} take place?",
      "{e} is held at {v}."),
    R("eventtime", "event", "time",
      "{e} begins at {v} / {e} starts at {v}",
      "at what time does {e} begin? / when does {e} begin? / when does {e} start? / at what time does {e} start?",
      "{e} begins at {v}."),
    R("winner", "event", "person",
      "{e} was won by {v} / the winner of {e} was {v} / {v} won the prize at {e}",
      "who won {e}? / who was the winner of {e}? / who won the prize at {e}?",
      "the winner of {e} was {v}."),
    R("prize", "event", "thing",
      "the prize of {e} is {v} / the first prize at {e} is {v}",
      "what is the prize of {e}? / what is the first prize at {e}?",
      "the prize of {e} is {v}."),
    R("eventfee", "event", "price",
      "{e} costs {v} / a ticket for {e} costs {v}",
      "how much is a ticket for {e}? / what does a ticket for {e} cost? / what does {e} cost?",
      "a ticket for {e} costs {v}."),
    # hidden things
    R("hiddenspot", "hidden", "spot",
      "{e} is {v} / {e} lies {v} / somebody has hidden {e} {v}",
      "where is {e}? / where is {e} hidden? / where can I find {e}?",
      "{e} is {v}."),
    R("hiddenowner", "hidden", "person",
      "{e} was found by {v} / {v} found {e}",
      "who found {e}? / who has found {e}?", "{e} was found by {v}.", ("what did {v} find?", "{v} found {e}.")),
    # free nouns: the attribute itself must be matched too
    R("thingcolour", "person", "colour",
      "the {n} of {e} is {v} / {e} has a {v} {n} / {e}'s {n} is {v}",
      "what colour is the {n} of {e}? / what is the colour of the {n} of {e}? / what colour is {e}'s {n}?",
      "the {n} of {e} is {v}.", noun=lambda L: L.some(THING)),
    R("thingmaterial", "person", "material",
      "the {n} of {e} is made of {v} / {e} has a {n} made of {v}",
      "what is the {n} of {e} made of? / of what is the {n} of {e} made?",
      "the {n} of {e} is made of {v}.", noun=lambda L: L.some(THING)),
    R("thingprice", "person", "price",
      "the {n} of {e} cost {v} / {e} bought a {n} for {v}",
      "how much did the {n} of {e} cost? / what did the {n} of {e} cost?",
      "the {n} of {e} cost {v}.", noun=lambda L: L.some(THING)),
    R("thingspot", "person", "spot",
      "the {n} of {e} is {v} / {e} left the {n} {v} / {e}'s {n} is {v}",
      "where is the {n} of {e}? / where did {e} leave the {n}? / where is {e}'s {n}?",
      "the {n} of {e} is {v}.", noun=lambda L: L.some(THING)),
    R("nonsense", "person", "nonsense",
      "the {n} of {e} is {v} / {e} has the {n} {v}",
      "what is the {n} of {e}? / which {n} does {e} have?",
      "the {n} of {e} is {v}.", noun=lambda L: L.nonsense() if L.rng.random() < 0.6 else L.some(THING)),
    R("nonsense2", "nonsensename", "nonsense",
      "the {n} of {e} is {v} / {e} {n} {v}",
      "what is the {n} of {e}?", "the {n} of {e} is {v}.", noun=lambda L: L.nonsense()),
]
RELATIONS[-1].tells = RELATIONS[-1].tells[:1]

GROUPS: dict[str, list[Relation]] = {}
for _r in RELATIONS:
    GROUPS.setdefault(_r.group, []).append(_r)

GROUP_WEIGHTS = {"boat": 5.0, "person": 5.0, "place": 2.5, "dog": 1.0, "town": 1.0, "pier": 1.2, "day": 1.6, "event": 1.2, "hidden": 0.8, "nonsensename": 0.6}
