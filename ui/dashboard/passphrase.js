// A password that is strong and can be remembered: a few words, drawn by lot in this browser.

const WORDS = `acorn amber anchor apple april apron arrow aspen atlas attic autumn bacon badge baker bamboo banjo
barley basil basket beach beaver bench berry birch bison blanket bonus border bottle branch bread breeze bridge
brook broom bucket buffalo butter button cabin cactus camel camera candle canoe canyon carbon carpet carrot castle
cedar cellar chalk cherry chess cider cinema circle citrus clay cliff clock cloud clover cobalt coconut comet
copper coral corner cotton couch cousin coyote cradle crane crayon cricket crystal curtain dahlia daisy dancer
desert diamond dolphin donkey dragon drawer eagle echo elbow ember engine falcon feather fern fiddle field finch
flame flint flute forest fossil fountain fox frost galaxy garden garlic ginger glacier glove goat gravel grove
guitar hammer harbor harvest hazel hedge helmet heron hill honey horizon husky igloo indigo iris island ivory
jacket jaguar jasmine jelly jigsaw juniper kayak kettle kitten ladder lagoon lantern laurel lava lemon lentil
lilac linen lizard lobster lotus lunar magnet mango maple marble meadow melon mirror mitten morning mosaic moss
mountain muffin museum mustard nectar needle nickel north nutmeg oasis ocean olive onion orange orbit orchard
otter owl oyster paddle panda paper parrot peach pebble pelican pencil penguin pepper piano pillow pilot pine
planet plum polar pond poplar poppy prairie pumpkin puzzle quartz quill rabbit radish rain raven reef ribbon
river robin rocket saddle saffron salmon sand satin scarf shell silver sparrow spruce stone summit sunset swan
thistle thunder tiger timber tulip turtle valley velvet violin walnut willow winter`.split(/\s+/);

const COUNT = 5;

/** An even draw: what would favour the first words is drawn again. */
function draw(below) {
  const most = Math.floor(65536 / below) * below;
  const [number] = crypto.getRandomValues(new Uint16Array(1));
  return number < most ? number % below : draw(below);
}

/** Five words out of 246: 2^39 ways, which the door's lock-out puts out of reach. */
export const propose = () => Array.from({ length: COUNT }, () => WORDS[draw(WORDS.length)]).join(" ");
