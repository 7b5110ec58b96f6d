"""Words of the lexicon that no data set has: colours, numbers, places, little words, and what English calls the things.

One entry a language: words between `|`. CLDR's annotations name the things (`lexicon.py`); what is wrong or missing there is put right
in `THINGS`. `endings` are what words may have behind their stem: a word that is not listed is tried with them taken off.
"""

# The same thing by another name: silent. English names of the things themselves are added by the script.
SAME = {
    "airplane": "plane|aeroplane|aircraft|jet plane|aeroplanes", "alarm clock": "alarm", "bicycle": "bike|pushbike|cycle", "birthday cake": "cake|torte",
    "bunch of grapes": "grapes|grape", "bus": "coach|autobus", "car": "auto|automobile|motor car|motorcar", "cat": "cats face|house cat|pussycat|pussy cat",
    "cookie": "biscuit", "cup of coffee": "coffee|cup|coffee cup|mug|mug of coffee|hot coffee", "dice": "die", "doughnut": "donut|do nut",
    "fire": "flame", "fire truck": "fire engine|firetruck|fire brigade", "football": "soccer ball|soccerball|football ball", "gift": "present|gift box|birthday present|christmas present",
    "hamburger": "burger|cheeseburger", "house": "home|little house", "ice cream": "icecream|ice cream cone|soft ice", "ladybug": "ladybird|lady bug|lady bird|lady beetle",
    "light bulb": "lightbulb|bulb|electric bulb", "moon": "crescent moon|crescent", "motorcycle": "motorbike|motor bike|motor cycle", "palm tree": "palm",
    "pine tree": "pine|fir|fir tree|evergreen|evergreen tree|spruce|conifer", "pizza": "slice of pizza|pizza slice|pizzas", "rabbit": "bunny|bunny rabbit|hare", "sailboat": "sailing boat|sail boat|sailing ship|yacht",
    "shoe": "sneaker|trainer|running shoe|tennis shoe", "snowman": "snow man|snowmen", "stack of books": "book|books|pile of books", "taxi": "cab|taxicab|taxi cab", "train": "locomotive|steam train|steam engine",
    "tree": "leafy tree|deciduous tree", "turtle": "tortoise", "wave": "ocean wave|sea wave", "volcano": "volcanoes", "maple leaf": "maple|maple leave",
    "brown leaf": "fallen leaf|autumn leaf|dry leaf|fallen leaves|autumn leaves|brown leaves", "corn": "maize|corn cob|cob of corn|ear of corn|corn on the cob|sweetcorn", "watermelon": "water melon|melon slice", "octopus": "octopi|kraken",
    "camera": "photo camera", "castle": "chateau|fortress", "clover": "four leaf clover|shamrock", "crown": "kings crown", "diamond": "gem|gemstone|jewel|brilliant", "helicopter": "chopper", "key": "door key",
    "piano": "keyboard|piano keys", "rocket": "spaceship|space ship|rocket ship|spacecraft|space rocket", "scooter": "kick scooter", "tent": "camping tent", "top hat": "tophat|cylinder hat", "umbrella": "parasol|brolly",
    "bread": "loaf|loaf of bread|loaves", "cheese": "piece of cheese|wedge of cheese", "chicken": "hen", "panda": "panda bear|giant panda", "cactus": "cacti|cactus plant", "blossom": "cherry blossom|sakura|flower blossom",
    "fish": "fishes", "snail": "snail shell", "bear": "brown bear", "balloon": "air balloon|toy balloon|party balloon", "ambulance": "ambulance car", "bell": "church bell", "bee": "honeybee|honey bee", "dolphin": "dolphin fish",
}  # fmt: skip

# Another thing, for which the named one is painted: said. Of young animals and kinds.
NEAR = {
    "cat": "kitty|kitten|kitties|kittens|tabby|tomcat|feline|meow", "dog": "puppy|puppies|doggy|doggie|pup|hound|terrier|dachshund|poodle|labrador|beagle|woof", "horse": "pony|ponies|foal|mare|stallion", "pig": "piglet|piggy|hog|swine",
    "chicken": "rooster|chick|cockerel", "bear": "teddy bear|teddy|bear cub|grizzly", "sailboat": "boat|ship|vessel|ferry", "tree": "oak|birch|apple tree|forest|bush", "pine tree": "christmas tree|xmas tree|forest of pines", "house": "hut|cottage|cabin|building|villa",
    "car": "truck|lorry|van|race car|racing car|sports car|vehicle|jeep", "sunflower": "flower|flowers|daisy|daisies", "blossom": "petal", "shoe": "boot|boots|sandal|slipper", "rabbit": "bunnies", "football": "ball|balls|basketball|tennis ball|beach ball|volleyball",
    "bread": "toast|baguette|bun|roll", "fish": "goldfish|trout|salmon|shark", "airplane": "jet|glider", "balloon": "hot air balloon|hot air balloons", "top hat": "hat|hats|cap", "hamburger": "sandwich", "birthday cake": "pie|cupcake|muffin|gateau",
    "guitar": "electric guitar|ukulele|violin", "alarm clock": "clock|watch|clocks", "turtle": "sea turtle", "owl": "bird|birds", "train": "tram|railway", "bus": "school bus|minibus", "cup of coffee": "tea|cup of tea|teacup", "peach": "apricot", "pear": "quince", "cherry": "cherries red|berry", "lemon": "lime", "butterfly": "moth",
    "pencil": "crayon|pen", "cloud": "rain cloud|storm cloud", "wave": "sea|ocean", "frog": "toad", "crab": "lobster", "fire": "campfire|bonfire", "castle": "palace|tower", "light bulb": "lamp|lantern", "tent": "wigwam|tipi|teepee", "motorcycle": "moped", "scooter": "vespa", "rose": "roses red", "mushroom": "toadstool|fungus", "ladybug": "beetle|bug", "elephant": "mammoth", "rocket": "missile|space shuttle", "chair": "stool|armchair|seat", "stack of books": "notebook|textbook", "gift": "parcel|package|box", "star": "starfish",
}  # fmt: skip

# Things that people ask for and that are nobody's first words, by the thing that is nearest, where keywords do not tell.
NEAREST = {
    "cat": "🦁🐯🐅🐆", "dog": "🐺🦝", "horse": "🐮🐄🐐🐑🐏🦓🦄🐪🦌🫏", "rabbit": "🐭🐁🐹🦘", "chicken": "🦆🦅🦜🦢🐓🦃🐣🐤🐥🦚🦩🕊", "dolphin": "🐳🐋🦈🦭", "bear": "🐨🐵🦍", "frog": "🐍🦎🐊🐉🐲",
    "car": "🚙🚚🚛🚓🏎", "bicycle": "🛹", "train": "🚃🚄🚋🚆", "sailboat": "🚢🚤🛥", "house": "🏡🏢🏫⛪🏥", "castle": "🗼🗽", "bee": "🕷🐜🦗🪲", "apple": "🍊🍅🥭", "rose": "🌺🌼💐❤", "star": "☀🌞🌟❄", "bread": "🥖🥐🥪", "hamburger": "🌭🌮🥙", "alarm clock": "⌚🕰", "light bulb": "🕯🔦", "snowman": "🎅",
}  # fmt: skip

# Glyphs that are the same thing seen otherwise: CLDR names an animal's face "cat face", and the animal "cat".
SIBLINGS = {"cat": "🐈", "dog": "🐕", "rabbit": "🐇", "pig": "🐖", "horse": "🐎", "bunch of grapes": "🍇", "snowman": "☃", "umbrella": "🌂", "key": "🗝", "light bulb": "💡", "shoe": "👞", "camera": "📸", "train": "🚂", "moon": "🌛", "sailboat": "⛵", "house": "🏡", "tent": "🏕", "dolphin": "🐬"}  # fmt: skip

COLOURS = "red orange yellow green blue purple pink white black gray turquoise brown".split()

# colours: twelve, in the order of COLOURS. numbers: one to ten.
LANGUAGES = {
    "en": {
        "colours": "red|scarlet|crimson ; orange ; yellow|golden|gold ; green|lime green|dark green|light green ; blue|dark blue|light blue|navy|sky blue ; purple|violet|lilac ; pink|rosy|magenta ; white|snow white ; black ; gray|grey|silver ; turquoise|cyan|teal|aqua ; brown|beige",
        "numbers": "one|single ; two|a pair of|pair of|a couple of|couple of|both ; three ; four ; five ; six|half a dozen ; seven ; eight ; nine ; ten",
        "sizes": "small|little|tiny|mini|wee ; large|big|huge|giant|gigantic|enormous|great",
        "places": "on the left|at the left|to the left|left side|on the left side ; on the right|at the right|to the right|on the right side ; at the top|on the top|at top ; at the bottom|on the bottom",
        "styles": "at night|night style|in the dark|by night|in the night|at nighttime|nighttime ; pixel art|pixel style|as pixel art|pixelated|pixelart|pixels|8 bit ; pastel style|in pastel colours|soft pastel|pastel|in pastel colors|pastel colours|pastel colors|watercolour|watercolor ; flat style|simple|flat|plain|clip art",
        "background": "background|backdrop|wall|backgrounds|ground|coloured background|colored background|in the background|sky|floor",
        "and": "and|plus|with|next to|beside|besides|alongside|by|together with|near|and also|along with|as well as",
        "left": "left of|to the left of|on the left of|at the left of", "right": "right of|to the right of|on the right of|at the right of",
        "apart": "above|below|under|underneath|beneath|over|behind|on top of|in front of|on|in|inside|into|onto|between|among|around|at|against|from|off|through",
        "function": "a|an|the|of|is|are|some|as|it|its|his|her|my|our|your|their|this|that|these|those|there|picture|picture of|pictures of|painting|painting of|image|image of|drawing|drawing of|photo|photo of|a photo of|illustration|illustration of|paint|draw|show|show me|paint me|draw me|please|me|i|want|would like|style|art|colours|colors|colour|color|coloured|colored|very|cute|nice|pretty|beautiful|lovely|happy|to|for|s|and a|lots of|just|only|one more|has|have|being|been|be|was|were|who|which|i d like|can you|could you|we|you|emoji|icon|logo|kind|sort",
        "endings": "s|es", "many": "s|es",
    },
    "de": {
        "colours": "rot|knallrot|hellrot|dunkelrot ; orange|orangefarben ; gelb|golden ; grün|hellgrün|dunkelgrün ; blau|hellblau|dunkelblau|himmelblau ; lila|violett ; rosa|pink|rosarot ; weiß|schneeweiß ; schwarz ; grau|silber ; türkis|cyan|türkisfarben ; braun|beige",
        "numbers": "ein|eins ; zwei|zwo|ein paar|paar ; drei ; vier ; fünf ; sechs ; sieben ; acht ; neun ; zehn",
        "sizes": "klein|winzig ; groß|riesig|riesengroß",
        "places": "links|auf der linken seite ; rechts|auf der rechten seite ; oben ; unten",
        "styles": "nachts|bei nacht|in der nacht|im dunkeln ; pixelkunst|als pixelkunst|pixel ; pastell|pastellfarben|in pastell|in pastellfarben ; schlicht|einfach",
        "background": "hintergrund|untergrund|grund|wand", "and": "und|mit|neben|bei|sowie|samt", "left": "links von|links neben", "right": "rechts von|rechts neben",
        "apart": "über|unter|hinter|vor|auf|in|im|an|am|aus|zwischen|um", "function": "einen|einem|einer|eines|eine|der|die|das|den|dem|des|ist|sind|bild|bild von|bild mit|gemälde|foto|zeichnung|male|mal|zeichne|bitte|mir|von|vom|zu|es|sein|seine|ihr|mein|meine|süß|schön|niedlich|farbe",
        "endings": "e|en|em|er|es|n|s|ern|nen|se", "many": "e|en|n|er|s|ern|nen|se",
    },
    "fr": {
        "colours": "rouge ; orange ; jaune|doré ; vert|verte ; bleu|bleue ; violet|violette|mauve ; rose ; blanc|blanche|blanches ; noir|noire ; gris|grise ; turquoise ; brun|brune|marron",
        "numbers": "un|une ; deux ; trois ; quatre ; cinq ; six ; sept ; huit ; neuf ; dix", "sizes": "petit|petite|minuscule ; grand|grande|gros|grosse|énorme|géant|géante",
        "places": "à gauche ; à droite ; en haut ; en bas", "styles": "la nuit|de nuit|dans le noir ; pixel art|en pixel art ; pastel|en pastel|couleurs pastel ; style plat|simple",
        "background": "fond|arrière plan|mur", "and": "et|avec|à côté de|à côté d|près de|à côté du", "left": "à gauche de|à gauche du|à gauche d", "right": "à droite de|à droite du|à droite d",
        "apart": "sur|sous|dans|derrière|devant|au dessus de|au dessous de|en|entre", "function": "le|la|les|l|d|de|du|des|au|aux|est|sont|c|image|image de|peinture|dessin|photo|dessine|peins|moi|s il te plaît|à|ce|cette|son|sa|mon|ma|joli|jolie|mignon|couleur|qui", "endings": "s|x|e|es", "many": "s|x|es",
    },
    "es": {
        "colours": "rojo|roja ; naranja|anaranjado|anaranjada ; amarillo|amarilla|dorado ; verde ; azul|celeste ; morado|morada|púrpura|violeta ; rosa|rosado|rosada ; blanco|blanca ; negro|negra ; gris|plateado ; turquesa ; marrón|café|castaño",
        "numbers": "un|una|uno ; dos ; tres ; cuatro ; cinco ; seis ; siete ; ocho ; nueve ; diez", "sizes": "pequeño|pequeña|pequeñito|chico ; grande|gran|enorme|gigante",
        "places": "a la izquierda ; a la derecha ; arriba ; abajo", "styles": "de noche|en la noche|por la noche ; pixel art|arte de píxeles|pixelado ; pastel|en pastel|colores pastel ; estilo plano|sencillo",
        "background": "fondo|pared", "and": "y|e|con|junto a|junto al|al lado de|al lado del|cerca de", "left": "a la izquierda de|a la izquierda del", "right": "a la derecha de|a la derecha del",
        "apart": "sobre|en|bajo|debajo de|encima de|detrás de|delante de|dentro de|entre", "function": "el|la|los|las|lo|de|del|al|a|es|son|hay|imagen|imagen de|cuadro|dibujo|foto|pinta|dibuja|por favor|me|su|mi|un poco|bonito|bonita|lindo|linda|color|unos|unas|que", "endings": "s|es|ito|ita|itos|itas", "many": "s|es|itos|itas",
    },
    "it": {
        "colours": "rosso|rossa|rossi|rosse ; arancione|arancio ; giallo|gialla|gialli|gialle|dorato ; verde|verdi ; blu|azzurro|azzurra|celeste ; viola|lilla ; rosa ; bianco|bianca|bianchi|bianche ; nero|nera|neri|nere ; grigio|grigia|grigi|grigie ; turchese ; marrone|marroni",
        "numbers": "un|uno|una ; due ; tre ; quattro ; cinque ; sei ; sette ; otto ; nove ; dieci", "sizes": "piccolo|piccola|piccoli|piccole ; grande|grandi|grosso|grossa|enorme|gigante",
        "places": "a sinistra ; a destra ; in alto ; in basso", "styles": "di notte|nella notte ; pixel art ; pastello|colori pastello ; stile piatto|semplice",
        "background": "sfondo|fondo|parete|muro", "and": "e|ed|con|accanto a|accanto alla|vicino a|accanto al", "left": "a sinistra di|a sinistra della|a sinistra del", "right": "a destra di|a destra della|a destra del",
        "apart": "su|sopra|sotto|dietro|davanti a|dentro|in|tra|sul|sulla|nel|nella", "function": "il|lo|la|i|gli|le|l|di|del|della|dei|delle|dello|al|alla|a|è|sono|c|immagine|immagine di|quadro|disegno|foto|dipingi|disegna|per favore|mi|suo|mio|bello|bella|colore|che|degli|d", "endings": "i|e|a|o|hi|he", "many": "i|e|hi|he",
    },
    "pt": {
        "colours": "vermelho|vermelha ; laranja|alaranjado ; amarelo|amarela|dourado ; verde ; azul ; roxo|roxa|violeta ; rosa|cor de rosa ; branco|branca ; preto|preta|negro|negra ; cinza|cinzento|cinzenta|prateado ; turquesa ; marrom|castanho|castanha",
        "numbers": "um|uma ; dois|duas ; três ; quatro ; cinco ; seis ; sete ; oito ; nove ; dez", "sizes": "pequeno|pequena ; grande|enorme|gigante",
        "places": "à esquerda ; à direita ; em cima ; em baixo|embaixo", "styles": "à noite|de noite ; pixel art ; pastel|tons pastel|em tons pastel ; estilo plano|simples",
        "background": "fundo|parede", "and": "e|com|ao lado de|ao lado do|ao lado da|junto a|perto de", "left": "à esquerda de|à esquerda do|à esquerda da", "right": "à direita de|à direita do|à direita da",
        "apart": "sobre|em|sob|debaixo de|acima de|atrás de|na frente de|dentro de|entre|num|numa|no|na|em cima de", "function": "o|a|os|as|de|do|da|dos|das|ao|à|é|são|há|imagem|imagem de|pintura|desenho|foto|pinte|desenhe|por favor|me|seu|meu|minha|bonito|bonita|cor|uns|umas|que", "endings": "s|es|inho|inha|inhos|inhas", "many": "s|es|inhos|inhas",
    },
    "nl": {
        "colours": "rood|rode ; oranje ; geel|gele|gouden ; groen|groene ; blauw|blauwe ; paars|paarse|violet ; roze ; wit|witte ; zwart|zwarte ; grijs|grijze|zilver ; turquoise|turkoois ; bruin|bruine",
        "numbers": "een|één ; twee ; drie ; vier ; vijf ; zes ; zeven ; acht ; negen ; tien", "sizes": "klein|kleine ; groot|grote|enorm|enorme|reusachtige",
        "places": "links ; rechts ; bovenaan|boven ; onderaan|onder", "styles": "'s nachts|s nachts|in het donker|in de nacht ; pixelkunst|pixel art ; pastel|in pastel|pastelkleuren ; eenvoudig|vlak",
        "background": "achtergrond|muur|wand", "and": "en|met|naast|bij", "left": "links van", "right": "rechts van",
        "apart": "op|over|achter|voor|in|aan|tussen|boven op|boven een|onder een|boven de|onder de", "function": "de|het|van|is|zijn|afbeelding|afbeelding van|schilderij|tekening|foto|schilder|teken|alsjeblieft|mij|me|mijn|mooi|mooie|lief|leuk|kleur|der|te", "endings": "en|s|e|n|je|jes|tje|tjes", "many": "en|s|n|jes|tjes",
    },
    "sv": {
        "colours": "röd|rött|röda ; orange ; gul|gult|gula|gyllene ; grön|grönt|gröna ; blå|blått|blåa ; lila|violett ; rosa ; vit|vitt|vita ; svart|svarta ; grå|grått|gråa ; turkos ; brun|brunt|bruna",
        "numbers": "en|ett ; två ; tre ; fyra ; fem ; sex ; sju ; åtta ; nio ; tio", "sizes": "liten|litet|små|lilla ; stor|stort|stora|jättestor",
        "places": "till vänster ; till höger ; upptill|överst ; nertill|nederst", "styles": "på natten|om natten|i mörkret ; pixelkonst ; pastell|i pastell ; enkel",
        "background": "bakgrund|vägg", "and": "och|med|bredvid|vid", "left": "till vänster om", "right": "till höger om", "apart": "på|ovanför|under|bakom|framför|i|mellan|över",
        "function": "den|det|de|är|av|bild|bild av|en bild av|tavla|målning|måla|rita|tack|mig|min|mitt|sin|fin|fint|söt|färg|mot|som", "endings": "a|or|ar|er|n|en|et|na|orna|arna|erna|r|t", "many": "or|ar|er|orna|arna|erna|r",
    },
    "da": {
        "colours": "rød|rødt|røde ; orange ; gul|gult|gule|gylden ; grøn|grønt|grønne ; blå|blåt ; lilla|violet ; lyserød|lyserødt|pink ; hvid|hvidt|hvide ; sort|sorte ; grå|gråt ; turkis ; brun|brunt|brune",
        "numbers": "en|et ; to ; tre ; fire ; fem ; seks ; syv ; otte ; ni ; ti", "sizes": "lille|små ; stor|stort|store|kæmpe", "places": "til venstre ; til højre ; øverst ; nederst",
        "styles": "om natten|i mørket ; pixelkunst ; pastel|i pastel ; enkel", "background": "baggrund|væg", "and": "og|med|ved siden af|ved", "left": "til venstre for", "right": "til højre for", "apart": "på|over|under|bag|foran|i|mellem",
        "function": "den|det|de|er|af|billede|billede af|maleri|tegning|mal|tegn|mig|min|mit|sin|fin|sød|farve|mod|som", "endings": "e|er|r|n|en|et|ne|erne|s", "many": "e|er|r|ne|erne",
    },
    "no": {
        "colours": "rød|rødt|røde ; oransje ; gul|gult|gule|gyllen ; grønn|grønt|grønne ; blå|blått ; lilla|fiolett ; rosa ; hvit|hvitt|hvite ; svart|svarte ; grå|grått ; turkis ; brun|brunt|brune",
        "numbers": "en|et|ett|ei|én ; to ; tre ; fire ; fem ; seks ; sju|syv ; åtte ; ni ; ti", "sizes": "liten|lite|små|lille ; stor|stort|store|svær", "places": "til venstre ; til høyre ; øverst ; nederst",
        "styles": "om natten|i mørket ; pikselkunst ; pastell|i pastell ; enkel", "background": "bakgrunn|vegg", "and": "og|med|ved siden av|ved", "left": "til venstre for", "right": "til høyre for", "apart": "på|over|under|bak|foran|i|mellom",
        "function": "den|det|de|er|av|bilde|bilde av|maleri|tegning|mal|tegn|meg|min|mitt|sin|fin|søt|farge|mot|som", "endings": "e|er|r|n|en|et|a|ne|ene|s", "many": "er|r|ene",
    },
    "fi": {
        "colours": "punainen|punaisen|punaisella|punaista|punaiset ; oranssi ; keltainen|keltaisen|keltaisella|keltaista ; vihreä ; sininen|sinisen|sinisellä|sinistä ; violetti|violetin|violetilla|liila ; vaaleanpunainen|vaaleanpunaisen|vaaleanpunaisella|pinkki ; valkoinen|valkoisen|valkoisella|valkoista ; musta ; harmaa ; turkoosi ; ruskea",
        "numbers": "yksi ; kaksi ; kolme ; neljä ; viisi ; kuusi ; seitsemän ; kahdeksan ; yhdeksän ; kymmenen", "sizes": "pieni|pienen|pientä|pienet ; iso|suuri|ison|suuren|valtava", "places": "vasemmalla ; oikealla ; ylhäällä ; alhaalla",
        "styles": "yöllä|pimeässä ; pikselitaide ; pastelli|pastellisävyissä ; yksinkertainen", "background": "tausta|taustalla|taustaa|taustan|seinä", "and": "ja|sekä|kanssa|vieressä", "left": "vasemmalla puolella", "right": "oikealla puolella", "apart": "päällä|alla|takana|edessä|yläpuolella|sisällä",
        "function": "on|ovat|kuva|maalaus|piirros|maalaa|piirrä|minulle|se|oma|söpö|kaunis|väri", "endings": "t|n|a|ä|ta|tä|lla|llä|ssa|ssä|sta|stä|ia|iä|ja|jä|oita|öitä|aa|ää|i", "many": "t|ia|iä|ja|jä|oita|öitä",
    },
    "pl": {
        "colours": "czerwony|czerwona|czerwone|czerwonym ; pomarańczowy|pomarańczowa ; żółty|żółta|żółte|żółtym|złoty ; zielony|zielona ; niebieski|niebieska|niebieskim|błękitny ; fioletowy|fioletowa|fioletowym ; różowy|różowa|różowym ; biały|biała|białe|białym ; czarny|czarna|czarne|czarnym ; szary|szara|szarym|srebrny ; turkusowy|turkusowa|turkusowym ; brązowy|brązowa|brązowym",
        "numbers": "jeden|jedna|jedno ; dwa|dwie|dwoje ; trzy ; cztery ; pięć ; sześć ; siedem ; osiem ; dziewięć ; dziesięć", "sizes": "mały|mała|małe|malutki ; duży|duża|duże|wielki|wielka|ogromny",
        "places": "po lewej|z lewej ; po prawej|z prawej ; u góry|na górze ; u dołu|na dole", "styles": "w nocy|nocą ; pixel art ; pastelowy|w pastelach ; prosty", "background": "tło|tle|tła|ściana|ścianie", "and": "i|oraz|z|obok|przy", "left": "na lewo od", "right": "na prawo od", "apart": "na|nad|pod|za|przed|w|między",
        "function": "jest|są|obraz|obrazek|rysunek|zdjęcie|namaluj|narysuj|proszę|mi|to|ten|ta|mój|moja|ładny|ładna|kolor|do|od", "endings": "y|i|a|e|u|em|om|ow|ów|ami|ach|ą|ę|ki|ie|owi|ym|ej|o", "many": "y|i|ow|ów|ki|e",
    },
    "cs": {
        "colours": "červený|červená|červené|červeném|rudý ; oranžový|oranžová|oranžovém ; žlutý|žlutá|žluté|žlutém|zlatý ; zelený|zelená|zelené|zeleném ; modrý|modrá|modré|modrém ; fialový|fialová|fialovém ; růžový|růžová|růžovém ; bílý|bílá|bílé|bílém ; černý|černá|černé|černém ; šedý|šedá|šedé|šedém ; tyrkysový|tyrkysová|tyrkysovém ; hnědý|hnědá|hnědé|hnědém",
        "numbers": "jeden|jedna|jedno ; dva|dvě ; tři ; čtyři ; pět ; šest ; sedm ; osm ; devět ; deset", "sizes": "malý|malá|malé|maličký ; velký|velká|velké|obrovský", "places": "vlevo|nalevo ; vpravo|napravo ; nahoře ; dole",
        "styles": "v noci ; pixel art ; pastelový|v pastelu ; jednoduchý", "background": "pozadí|stěna|zeď", "and": "a|s|se|vedle|u", "left": "vlevo od|nalevo od", "right": "vpravo od|napravo od", "apart": "na|nad|pod|za|před|v|mezi",
        "function": "je|jsou|obraz|obrázek|kresba|fotka|namaluj|nakresli|prosím|mi|to|ten|ta|můj|moje|hezký|pěkný|barva|z|k", "endings": "y|i|a|e|u|em|ou|ů|ami|ách|ě|ky|é|ý|ím|o", "many": "y|i|ů|ky",
    },
    "ru": {
        "colours": "красный|алый ; оранжевый ; жёлтый|золотой ; зелёный ; синий|синяя|синее|синем|синие|голубой|голубая|голубом ; фиолетовый|сиреневый ; розовый ; белый ; чёрный ; серый|серебряный ; бирюзовый ; коричневый|бурый",
        "numbers": "один|одна|одно ; два|две ; три ; четыре ; пять ; шесть ; семь ; восемь ; девять ; десять", "sizes": "маленький|маленькая|маленькое|малый|крошечный ; большой|большая|большое|большие|огромный|огромная", "places": "слева ; справа ; вверху|сверху ; внизу|снизу",
        "styles": "ночью|в темноте ; пиксель арт|пиксельный ; пастель|пастельный ; простой", "background": "фон|фоне|фона|фоном|стена|стене", "and": "и|с|со|рядом с|возле|около", "left": "слева от", "right": "справа от", "apart": "на|над|под|за|перед|в|между",
        "function": "это|картина|картинка|рисунок|фото|нарисуй|пожалуйста|мне|мой|моя|его|красивый|милый|цвет|от|из|есть", "endings": "ых|их|ыми|а|я|ы|и|у|ю|о|е|ой|ей|ом|ем|ов|ев|ам|ами|ах|ый|ий|ая|ое|ые|ого|ому|ым|ими|ками|ки|ь", "many": "ы|и|ов|ев|ки|ые",
    },
    "uk": {
        "colours": "червоний ; помаранчевий|оранжевий ; жовтий|золотий ; зелений ; синій|синя|синє|синьому|блакитний ; фіолетовий ; рожевий ; білий ; чорний ; сірий ; бірюзовий ; коричневий",
        "numbers": "один|одна|одне ; два|дві ; три ; чотири ; п'ять ; шість ; сім ; вісім ; дев'ять ; десять", "sizes": "маленький|маленька|малий ; великий|велика|велике|величезний", "places": "зліва|ліворуч ; справа|праворуч ; вгорі|зверху ; внизу|знизу",
        "styles": "вночі ; піксель арт ; пастель ; простий", "background": "тло|тлі|фон|фоні|стіна", "and": "і|й|та|з|із|біля|поруч з|поряд з", "left": "зліва від|ліворуч від", "right": "справа від|праворуч від", "apart": "на|над|під|за|перед|в|у|між",
        "function": "це|картина|картинка|малюнок|фото|намалюй|будь ласка|мені|мій|моя|гарний|милий|колір|від|є", "endings": "их|а|я|и|і|у|ю|о|е|ою|ею|ом|ем|ів|їв|ам|ами|ах|ий|ій|е|ого|ому|им|ими|ки|ка|ь", "many": "и|і|ів|ки",
    },
    "hu": {
        "colours": "piros|vörös ; narancssárga|narancs színű ; sárga|arany ; zöld ; kék ; lila|ibolya ; rózsaszín|rózsaszínű ; fehér ; fekete ; szürke|ezüst ; türkiz|türkizkék ; barna",
        "numbers": "egy ; két|kettő ; három ; négy ; öt ; hat ; hét ; nyolc ; kilenc ; tíz", "sizes": "kis|kicsi|apró ; nagy|óriási|hatalmas", "places": "balra|bal oldalon ; jobbra|jobb oldalon ; fent|felül ; lent|alul", "styles": "éjjel|éjszaka ; pixel art ; pasztell ; egyszerű",
        "background": "háttér|háttérrel|háttéren|háttere|fal", "and": "és|meg|mellett|val|vel", "left": "tól balra|től balra", "right": "tól jobbra|től jobbra", "apart": "fölött|felett|alatt|mögött|előtt|között", "function": "a|az|van|kép|képe|festmény|rajz|fotó|fess|rajzolj|kérlek|nekem|szép|aranyos|szín", "endings": "k|ok|ek|ak|ök|t|ot|et|at|on|en|ön|ban|ben|val|vel|ra|re|k|kal|kel|nak|nek", "many": "k|ok|ek|ak|ök",
    },
    "tr": {
        "colours": "kırmızı|al ; turuncu ; sarı|altın ; yeşil ; mavi|lacivert ; mor|eflatun ; pembe ; beyaz|ak ; siyah|kara ; gri|gümüş ; turkuaz ; kahverengi", "numbers": "bir|tek ; iki|bir çift ; üç ; dört ; beş ; altı ; yedi ; sekiz ; dokuz ; on", "sizes": "küçük|minik|ufak ; büyük|kocaman|dev",
        "places": "solda ; sağda ; üstte ; altta", "styles": "gece|geceleyin|karanlıkta ; piksel sanatı ; pastel ; düz|sade", "background": "arka plan|arka planda|arka planlı|zemin|fon|fonda|duvar", "and": "ve|ile|yanında", "left": "solunda", "right": "sağında", "apart": "üstünde|altında|arkasında|önünde|içinde|üzerinde",
        "function": "bu|şu|o|resim|resmi|tablo|çizim|fotoğraf|çiz|boya|lütfen|bana|benim|güzel|sevimli|tatlı|renk|renkli|tane|adet|bir tane|var", "endings": "lar|ler|i|ı|u|ü|yi|yı|si|sı|in|ın|un|ün|de|da|e|a|ye|ya|nin|nın|li|lı|lu|lü", "many": "lar|ler",
    },
    "el": {
        "colours": "κόκκινος|κόκκινη|κόκκινο|κόκκινα ; πορτοκαλί ; κίτρινος|κίτρινη|κίτρινο|χρυσό ; πράσινος|πράσινη|πράσινο ; μπλε|γαλάζιο|γαλάζια|γαλανό ; μωβ|μοβ|βιολετί ; ροζ ; άσπρος|άσπρη|άσπρο|λευκός|λευκή|λευκό ; μαύρος|μαύρη|μαύρο ; γκρι|γκρίζο|ασημί ; τυρκουάζ ; καφέ",
        "numbers": "ένας|μία|μια|ένα ; δύο|δυο ; τρεις|τρία ; τέσσερις|τέσσερα ; πέντε ; έξι ; επτά|εφτά ; οκτώ|οχτώ ; εννέα|εννιά ; δέκα", "sizes": "μικρός|μικρή|μικρό|μικρά ; μεγάλος|μεγάλη|μεγάλο|μεγάλα|τεράστιο", "places": "αριστερά ; δεξιά ; πάνω ; κάτω",
        "styles": "τη νύχτα|νύχτα ; pixel art ; παστέλ ; απλό", "background": "φόντο|φόντου|τοίχος|τοίχο", "and": "και|κι|με|δίπλα σε|δίπλα στο|δίπλα στη|κοντά σε", "left": "αριστερά από", "right": "δεξιά από", "apart": "σε|πάνω σε|κάτω από|πίσω από|μπροστά σε|μέσα σε|πάνω από|στο|στη|στην",
        "function": "ο|η|το|οι|τα|του|της|των|τον|την|είναι|εικόνα|πίνακας|ζωγραφιά|φωτογραφία|ζωγράφισε|παρακαλώ|μου|όμορφο|χρώμα|από", "endings": "α|ες|οι|ους|ων|ου|ης|ας|ος|ο|ια|ιου|η|ι", "many": "α|ες|οι|ια",
    },
    "ro": {
        "colours": "roșu|roșie|roșii ; portocaliu|portocalie ; galben|galbenă|galbene|auriu ; verde|verzi ; albastru|albastră|albastre|albaștri ; mov|violet|violetă ; roz ; alb|albă|albe|albi ; negru|neagră|negre|negri ; gri|argintiu ; turcoaz ; maro|brun",
        "numbers": "un|o|unu|una ; doi|două ; trei ; patru ; cinci ; șase ; șapte ; opt ; nouă ; zece", "sizes": "mic|mică|mici|micuț ; mare|mari|uriaș", "places": "la stânga|în stânga ; la dreapta|în dreapta ; sus ; jos", "styles": "noaptea ; pixel art ; pastel ; simplu", "background": "fundal|fond|perete", "and": "și|cu|lângă|alături de",
        "left": "la stânga de|în stânga", "right": "la dreapta de|în dreapta", "apart": "pe|deasupra|sub|în spatele|în fața|în|între", "function": "al|a|ai|ale|de|este|sunt|imagine|imagine cu|tablou|desen|poză|pictează|desenează|te rog|îmi|meu|mea|frumos|drăguț|culoare|la|un fel", "endings": "i|e|ul|ului|le|uri|a|ă|ele|ilor|lor|ii|u", "many": "i|e|uri|ele|ii",
    },
    "ja": {
        "colours": "赤|赤い|赤色|あか|あかい|紅 ; オレンジ|オレンジ色|橙|橙色 ; 黄|黄色|黄色い|金色 ; 緑|緑色|緑の|みどり ; 青|青い|青色|水色|あお|あおい ; 紫|紫色|むらさき ; ピンク|ピンク色|桃色 ; 白|白い|白色|しろ|しろい ; 黒|黒い|黒色|くろ|くろい ; 灰色|グレー|銀色 ; ターコイズ|青緑 ; 茶色|茶色い|ブラウン",
        "numbers": "一つ|一匹|一個|一本|一|一台|一頭|一羽|ひとつ ; 二つ|二匹|二個|二本|二|二台|二頭|二羽|ふたつ ; 三つ|三匹|三個|三本|三|三台|三頭|三羽|みっつ ; 四つ|四匹|四個|四本|四|四台|四頭|四羽 ; 五つ|五匹|五個|五本|五 ; 六つ|六匹|六個|六 ; 七つ|七匹|七 ; 八つ|八匹|八 ; 九つ|九匹|九 ; 十匹|十個|十",
        "sizes": "小さい|小さな|ちいさい|ちいさな ; 大きい|大きな|巨大な|おおきい", "places": "左に|左側に ; 右に|右側に ; 上に ; 下に", "styles": "夜|夜に|夜の ; ドット絵|ピクセルアート ; パステル|パステルカラー ; シンプル|シンプルな", "background": "背景|壁|バック", "and": "と|や|そして|隣に|の隣に|のとなりに|横に", "left": "の左に|の左", "right": "の右に|の右", "apart": "の上に|の上の|の下に|の中に|の後ろに|の前に",
        "function": "の|に|が|を|は|で|も|へ|な|い|いる|ある|です|絵|絵を|絵を描いて|写真|イラスト|画像|描いて|ください|色|色の|匹|個|本|台|頭|羽|つ|枚|冊|かわいい|可愛い|きれいな", "endings": "", "many": "",
    },
    "zh": {
        "colours": "红|红色|紅|紅色 ; 橙|橙色|橘色|橘红色 ; 黄|黄色|黃|黃色|金色 ; 绿|绿色|綠|綠色 ; 蓝|蓝色|藍|藍色 ; 紫|紫色 ; 粉|粉色|粉红|粉红色|粉紅色 ; 白|白色 ; 黑|黑色 ; 灰|灰色|银色 ; 青绿色|绿松石色|青色 ; 棕|棕色|褐色|咖啡色",
        "numbers": "一|一个|一只|一個|一隻|一辆|一条|一朵|一棵 ; 二|两|两个|两只|兩隻|兩個|两辆|两条|两朵|两棵 ; 三|三个|三只|三隻|三個|三辆|三条|三朵|三棵 ; 四|四个|四只|四隻|四個|四辆|四条|四朵|四棵 ; 五|五个|五只 ; 六|六个|六只 ; 七|七个|七只 ; 八|八个|八只 ; 九|九个|九只 ; 十|十个|十只",
        "sizes": "小|小小|小小的|微小 ; 大|大大|大大的|巨大|巨大的", "places": "在左边|左边 ; 在右边|右边 ; 在上方|顶部 ; 在下方|底部", "styles": "夜晚|夜里|晚上|夜间 ; 像素画|像素风|像素艺术 ; 粉彩|柔和色彩 ; 简单|扁平风格", "background": "背景|背景上|背景下|墙|底色|底", "and": "和|与|與|跟|还有|以及|旁边的|旁边", "left": "左边是", "right": "右边是", "apart": "上面|下面|里面|后面|前面|之上|之下",
        "function": "的|在|上|是|有|张|幅|图|图片|照片|画|画一|请|请画|给我|着|个|只|條|条|朵|辆|棵|頭|头|匹|把|可爱|可爱的|漂亮|美丽的|里|中|了|它|他|我|色", "endings": "", "many": "",
    },
    "ko": {
        "colours": "빨간|빨간색|빨강|붉은 ; 주황|주황색|오렌지색 ; 노란|노란색|노랑|금색 ; 초록|초록색|녹색|푸른 ; 파란|파란색|파랑|하늘색 ; 보라|보라색|자주색 ; 분홍|분홍색|핑크|핑크색 ; 하얀|하얀색|흰|흰색|하양 ; 검은|검은색|검정|검정색|까만 ; 회색|은색 ; 청록색|터키석색 ; 갈색|밤색",
        "numbers": "하나|한|한 마리|한 개 ; 둘|두|두 마리|두 개|두 대 ; 셋|세|세 마리|세 개|세 대 ; 넷|네|네 마리|네 개|네 대 ; 다섯|다섯 마리|다섯 개 ; 여섯|여섯 마리 ; 일곱 ; 여덟 ; 아홉 ; 열", "sizes": "작은|조그만|자그마한 ; 큰|커다란|거대한", "places": "왼쪽에 ; 오른쪽에 ; 위쪽에 ; 아래쪽에",
        "styles": "밤|밤에 ; 픽셀 아트 ; 파스텔|파스텔톤 ; 단순한", "background": "배경|벽", "and": "와|과|그리고|옆에|옆의|하고|옆", "left": "왼쪽의", "right": "오른쪽의", "apart": "위의|아래의|안의|뒤의|앞의|위|아래|안|뒤|앞", "function": "그림|사진|그려줘|그려|주세요|있는|있다|의|이|그|저|색|마리|개|대|송이|예쁜|귀여운|에|에서|에 있는|위에|속", "endings": "이|가|은|는|을|를|의|와|과|에|에서|로|으로|들|들이|도|이랑|랑|하고|에는", "many": "들|들이",
    },
}  # fmt: skip

# What CLDR's names of drawings lack: the thing's plain word.
THINGS = {
    "de": {"cat": "Katze|Kater|Mieze", "dog": "Hund", "car": "Auto|Wagen", "pine tree": "Tanne|Kiefer|Tannenbaum", "tree": "Baum", "house": "Haus", "football": "Fußball", "shoe": "Schuh", "moon": "Mond", "star": "Stern", "bicycle": "Fahrrad|Rad", "airplane": "Flugzeug", "train": "Zug|Lokomotive|Dampflok", "birthday cake": "Kuchen|Torte|Geburtstagstorte", "hamburger": "Burger", "mushroom": "Pilz|Fliegenpilz", "maple leaf": "Ahornblatt", "balloon": "Ballon|Luftballon", "alarm clock": "Wecker", "chair": "Stuhl", "ice cream": "Eis", "cup of coffee": "Kaffee|Tasse Kaffee|Kaffeetasse", "bread": "Brot", "stack of books": "Buch|Bücher|Bücherstapel", "chicken": "Huhn|Henne", "bunch of grapes": "Traube|Trauben|Weintraube|Weintrauben", "horse": "Pferd", "pig": "Schwein", "rabbit": "Hase|Kaninchen", "turtle": "Schildkröte", "key": "Schlüssel", "pencil": "Bleistift|Stift", "sailboat": "Segelboot|Boot", "light bulb": "Glühbirne|Lampe", "dice": "Würfel", "fire truck": "Feuerwehrauto|Feuerwehr", "motorcycle": "Motorrad", "diamond": "Diamant|Edelstein", "crown": "Krone", "umbrella": "Regenschirm|Schirm", "top hat": "Zylinder", "bell": "Glocke", "corn": "Mais|Maiskolben"},
    "fr": {"cat": "chat|chatte", "dog": "chien|chienne", "car": "voiture|auto", "pine tree": "sapin|pin", "tree": "arbre", "house": "maison", "football": "ballon de foot|ballon de football|football", "shoe": "chaussure", "moon": "lune", "star": "étoile", "bicycle": "vélo|bicyclette", "airplane": "avion", "train": "train|locomotive", "birthday cake": "gâteau|gâteau d anniversaire", "hamburger": "hamburger|burger", "mushroom": "champignon", "balloon": "ballon|ballon de baudruche", "alarm clock": "réveil", "chair": "chaise", "ice cream": "glace|crème glacée", "cup of coffee": "café|tasse de café|tasse", "bread": "pain", "stack of books": "livre|livres", "chicken": "poule|poulet", "bunch of grapes": "raisin|grappe de raisin|raisins", "horse": "cheval|chevaux", "pig": "cochon|porc", "rabbit": "lapin", "fish": "poisson", "bear": "ours", "rose": "rose", "sailboat": "voilier|bateau", "fire": "feu", "light bulb": "ampoule", "cloud": "nuage", "butterfly": "papillon", "apple": "pomme", "key": "clé|clef", "gift": "cadeau", "crown": "couronne", "umbrella": "parapluie", "fire truck": "camion de pompiers", "motorcycle": "moto", "castle": "château"},
    "es": {"cat": "gato|gata", "dog": "perro|perra", "car": "coche|carro|auto", "pine tree": "pino|abeto", "tree": "árbol", "house": "casa", "football": "balón de fútbol|balón|pelota", "shoe": "zapato|zapatilla", "moon": "luna", "star": "estrella", "bicycle": "bicicleta|bici", "airplane": "avión", "train": "tren", "birthday cake": "pastel de cumpleaños|tarta|torta", "mushroom": "seta|hongo|champiñón", "balloon": "globo", "alarm clock": "despertador", "chair": "silla", "ice cream": "helado", "cup of coffee": "taza de café|taza", "bread": "pan", "stack of books": "libro|libros", "chicken": "gallina|pollo", "bunch of grapes": "uva|uvas", "horse": "caballo", "pig": "cerdo|cerdito", "rabbit": "conejo", "fish": "pez|pescado|peces", "bear": "oso", "rose": "rosa roja|rosa flor", "sailboat": "velero|barco", "fire": "fuego", "light bulb": "bombilla", "cloud": "nube", "butterfly": "mariposa", "apple": "manzana", "key": "llave", "gift": "regalo", "crown": "corona", "umbrella": "paraguas", "castle": "castillo", "penguin": "pingüino", "motorcycle": "moto|motocicleta", "fire truck": "camión de bomberos"},
    "it": {"cat": "gatto|gatta", "dog": "cane|cani", "car": "macchina|auto|automobile", "tree": "albero", "pine tree": "pino|abete", "house": "casa", "football": "pallone|pallone da calcio", "shoe": "scarpa", "moon": "luna", "star": "stella", "bicycle": "bicicletta|bici", "airplane": "aereo|aeroplano", "train": "treno", "birthday cake": "torta|torta di compleanno", "mushroom": "fungo|funghi", "balloon": "palloncino", "chair": "sedia", "ice cream": "gelato", "cup of coffee": "caffè|tazza di caffè|tazza", "bread": "pane", "stack of books": "libro|libri", "chicken": "gallina|pollo", "bunch of grapes": "uva", "horse": "cavallo", "pig": "maiale", "rabbit": "coniglio", "fish": "pesce", "bear": "orso", "sailboat": "barca a vela|barca", "fire": "fuoco", "light bulb": "lampadina", "cloud": "nuvola", "butterfly": "farfalla", "apple": "mela", "key": "chiave", "gift": "regalo", "crown": "corona", "umbrella": "ombrello", "castle": "castello", "motorcycle": "moto"},
    "pt": {"cat": "gato|gata", "dog": "cachorro|cão|cães", "car": "carro", "tree": "árvore", "pine tree": "pinheiro", "house": "casa", "football": "bola de futebol|bola", "shoe": "sapato|tênis", "moon": "lua", "star": "estrela", "bicycle": "bicicleta", "airplane": "avião|aviões", "train": "trem|comboio", "birthday cake": "bolo|bolo de aniversário", "mushroom": "cogumelo", "balloon": "balão|balões", "chair": "cadeira", "ice cream": "sorvete|gelado", "cup of coffee": "café|xícara de café|xícara", "bread": "pão|pães", "stack of books": "livro|livros", "chicken": "galinha|frango", "bunch of grapes": "uva|uvas", "horse": "cavalo", "pig": "porco", "rabbit": "coelho", "fish": "peixe", "bear": "urso", "sailboat": "veleiro|barco", "fire": "fogo", "light bulb": "lâmpada", "cloud": "nuvem|nuvens", "butterfly": "borboleta", "apple": "maçã", "key": "chave", "gift": "presente", "crown": "coroa", "umbrella": "guarda chuva", "castle": "castelo", "motorcycle": "moto"},
    "nl": {"cat": "kat|poes", "dog": "hond", "car": "auto", "tree": "boom|bomen", "pine tree": "dennenboom|den", "house": "huis|huizen", "football": "voetbal", "shoe": "schoen", "moon": "maan", "star": "ster", "bicycle": "fiets", "airplane": "vliegtuig", "train": "trein", "birthday cake": "taart|verjaardagstaart", "mushroom": "paddenstoel", "balloon": "ballon", "chair": "stoel", "ice cream": "ijsje|ijs", "cup of coffee": "koffie|kop koffie|kopje koffie", "bread": "brood", "stack of books": "boek|boeken", "chicken": "kip", "bunch of grapes": "druiven|druif", "horse": "paard", "pig": "varken", "rabbit": "konijn", "fish": "vis|vissen", "bear": "beer|beren", "sailboat": "zeilboot|boot", "fire": "vuur", "light bulb": "lamp|gloeilamp", "cloud": "wolk", "butterfly": "vlinder", "apple": "appel", "key": "sleutel", "gift": "cadeau", "crown": "kroon", "umbrella": "paraplu", "castle": "kasteel", "motorcycle": "motor"},
    "sv": {"cat": "katt", "dog": "hund", "car": "bil", "tree": "träd", "house": "hus", "football": "fotboll", "star": "stjärna", "apple": "äpple|äpplen", "fish": "fisk", "horse": "häst", "moon": "måne"}, "da": {"cat": "kat|katte", "dog": "hund", "car": "bil", "tree": "træ|træer", "house": "hus", "star": "stjerne", "apple": "æble", "fish": "fisk", "horse": "hest", "moon": "måne"}, "no": {"cat": "katt", "dog": "hund", "car": "bil", "tree": "tre|trær", "house": "hus", "star": "stjerne", "apple": "eple", "fish": "fisk", "horse": "hest", "moon": "måne"},
    "fi": {"cat": "kissa", "dog": "koira", "car": "auto", "tree": "puu", "house": "talo", "star": "tähti|tähden|tähteä", "apple": "omena", "fish": "kala", "horse": "hevonen|hevosen", "moon": "kuu"}, "pl": {"cat": "kot", "dog": "pies|psy|psa", "car": "samochód|samochody|auto", "tree": "drzewo", "house": "dom", "star": "gwiazda", "apple": "jabłko|jabłka|jabłek", "fish": "ryba", "horse": "koń|konie", "moon": "księżyc"}, "cs": {"cat": "kočka|koček|kocour", "dog": "pes|psi|psů|psa", "car": "auto", "tree": "strom", "house": "dům|domy|domu", "star": "hvězda", "apple": "jablko|jablek", "fish": "ryba", "horse": "kůň|koně", "moon": "měsíc"},
    "ru": {"cat": "кот|кошка|кошек|коты", "dog": "собака|пёс", "car": "машина|автомобиль", "tree": "дерево|деревья|деревьев", "house": "дом|домик", "star": "звезда|звёзды", "apple": "яблоко|яблок", "fish": "рыба", "horse": "лошадь|конь", "moon": "луна|месяц"}, "uk": {"cat": "кіт|кішка|коти|кота", "dog": "собака|пес", "car": "машина|автомобіль|авто", "tree": "дерево|дерев", "house": "будинок|дім|хата", "star": "зірка|зірок", "apple": "яблуко|яблук", "fish": "риба", "horse": "кінь|коні", "moon": "місяць"}, "hu": {"cat": "macska|cica|macskák", "dog": "kutya|kutyák", "car": "autó", "tree": "fa|fák", "house": "ház", "star": "csillag", "apple": "alma|almák", "fish": "hal", "horse": "ló|lovak", "moon": "hold"},
    "tr": {"cat": "kedi", "dog": "köpek", "car": "araba|otomobil", "tree": "ağaç|ağacı", "house": "ev", "star": "yıldız", "apple": "elma", "fish": "balık|balığı", "horse": "at", "moon": "ay"}, "el": {"cat": "γάτα|γάτος", "dog": "σκύλος|σκυλί|σκύλο", "car": "αυτοκίνητο", "tree": "δέντρο", "house": "σπίτι", "star": "αστέρι", "apple": "μήλο", "fish": "ψάρι", "horse": "άλογο", "moon": "φεγγάρι"}, "ro": {"cat": "pisică|pisici", "dog": "câine|câini", "car": "mașină|mașini", "tree": "copac|pom", "house": "casă|case", "star": "stea|stele", "apple": "măr|mere", "fish": "pește|pești", "horse": "cal|cai", "moon": "lună"},
    "ja": {"cat": "猫|ネコ|ねこ", "dog": "犬|イヌ|いぬ", "car": "車|自動車|くるま", "tree": "木|樹", "house": "家|いえ|お家", "star": "星|ほし", "apple": "りんご|リンゴ|林檎", "fish": "魚|さかな", "horse": "馬|うま", "moon": "月|つき|三日月"}, "zh": {"cat": "猫|貓|小猫|猫咪", "dog": "狗|小狗|犬", "car": "汽车|车|小汽车|轿车", "tree": "树|樹|大树", "house": "房子|房屋|屋子|家", "star": "星星|星|星形", "apple": "苹果|蘋果", "fish": "鱼|魚", "horse": "马|馬", "moon": "月亮|月"}, "ko": {"cat": "고양이", "dog": "개|강아지", "car": "자동차|차", "tree": "나무", "house": "집", "star": "별", "apple": "사과", "fish": "물고기|생선", "horse": "말", "moon": "달"},
}  # fmt: skip
