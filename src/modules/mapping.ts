// What every script needs that turns a record of one system into one of another.

/** Text in Unicode form NFC, without white space around it and with single spaces in it; null when nothing is left. */
export function normalize(value: unknown, options: { case?: "lower" | "upper" } = {}): string | null {
  if (value === null || value === undefined) return null;
  const text = String(value).normalize("NFC").replace(/\s+/gu, " ").trim();
  if (text === "") return null;
  if (options.case === "lower") return text.toLowerCase();
  return options.case === "upper" ? text.toUpperCase() : text;
}

// Letters that have no mark to take off (Unicode has no decomposition of them).
const PLAIN: Record<string, string> = {
  ß: "ss", ẞ: "SS", æ: "ae", Æ: "AE", œ: "oe", Œ: "OE", ø: "o", Ø: "O", đ: "d", Đ: "D", ð: "d", Ð: "D",
  þ: "th", Þ: "Th", ł: "l", Ł: "L", ħ: "h", Ħ: "H", ı: "i", ŀ: "l", Ŀ: "L", ŋ: "n", Ŋ: "N", ŧ: "t", Ŧ: "T",
  ſ: "s", ĸ: "k", ə: "e", Ə: "E", ƒ: "f", ǝ: "e", "’": "'", "‘": "'", "“": '"', "”": '"', "–": "-", "—": "-",
  "\u00a0": " ",
  // Cyrillic, after BGN/PCGN without its marks; Ukrainian and Serbian letters with it.
  а: "a", б: "b", в: "v", г: "g", д: "d", е: "e", ж: "zh", з: "z", и: "i", к: "k", л: "l", м: "m", н: "n",
  о: "o", п: "p", р: "r", с: "s", т: "t", у: "u", ф: "f", х: "kh", ц: "ts", ч: "ch", ш: "sh", щ: "shch",
  ъ: "", ы: "y", ь: "", э: "e", ю: "yu", я: "ya", і: "i", є: "ye", ґ: "g", ђ: "dj", ј: "j", љ: "lj",
  њ: "nj", ћ: "c", џ: "dz",
  // Greek, after ELOT 743.
  α: "a", β: "v", γ: "g", δ: "d", ε: "e", ζ: "z", η: "i", θ: "th", ι: "i", κ: "k", λ: "l", μ: "m", ν: "n",
  ξ: "x", ο: "o", π: "p", ρ: "r", σ: "s", ς: "s", τ: "t", υ: "y", φ: "f", χ: "ch", ψ: "ps", ω: "o",
};

// Composed letters that are written with two in some languages, or whose mark
// makes another letter.
const COMPOSED: Record<string, string> = { й: "y", ё: "yo", ї: "yi", ў: "u", ќ: "k", ѓ: "g" };
const LANGUAGES: Record<string, Record<string, string>> = {
  de: { ä: "ae", ö: "oe", ü: "ue" },
  da: { å: "aa", ø: "oe" },
  nb: { å: "aa", ø: "oe" },
  sv: { å: "aa", ä: "ae", ö: "oe" },
  fi: { ä: "a", ö: "o" },
  hu: { ö: "o", ő: "o", ü: "u", ű: "u" },
  tr: { ı: "i", İ: "I" },
};

/** Which language's rules to follow where they differ. */
export interface TransliterateOptions {
  /** `de`, `da`, `nb`, `sv`, `fi`, `hu` or `tr`; without one, marks are left out. */
  language?: "de" | "da" | "nb" | "sv" | "fi" | "hu" | "tr";
  /** Takes the place of what cannot be written in ASCII; nothing by default. */
  unknown?: string;
}

/** Text in ASCII: "Łukasz Müller" becomes "Lukasz Muller", in German "Lukasz Mueller". */
export function transliterate(text: string, options: TransliterateOptions = {}): string {
  const rules = { ...COMPOSED, ...(options.language ? LANGUAGES[options.language] : {}) };
  let ascii = "";
  for (const letter of String(text).normalize("NFC")) {
    ascii += letter <= "\u007f" ? letter : written(letter, rules) ?? options.unknown ?? "";
  }
  return ascii;
}

function written(letter: string, rules: Record<string, string>): string | undefined {
  const direct = cased(letter, rules) ?? cased(letter, PLAIN);
  if (direct !== undefined) return direct;
  const bare = letter.normalize("NFKD").replace(/\p{M}+/gu, "");
  if (bare === letter) return undefined;
  let ascii = "";
  for (const part of bare) {
    const one = part <= "\u007f" ? part : cased(part, PLAIN);
    if (one === undefined) return undefined;
    ascii += one;
  }
  return ascii;
}

// A capital letter becomes a word that begins with one: Щ is Shch.
function cased(letter: string, rules: Record<string, string>): string | undefined {
  if (Object.hasOwn(rules, letter)) return rules[letter];
  const small = letter.toLowerCase();
  if (small === letter || !Object.hasOwn(rules, small)) return undefined;
  const word = rules[small]!;
  return word.charAt(0).toUpperCase() + word.slice(1);
}

/** How a name is made from parts. */
export interface NameOptions extends TransliterateOptions {
  /** Between the parts; a dot by default. */
  separator?: string;
  /** Most characters; 20 by default, which old Windows domains ask for. */
  maxLength?: number;
}

/** A name to log in with, of letters, digits, dots, hyphens and underscores: `["Zoë", "de Vries"]` becomes `zoe.devries`. */
export function loginName(parts: readonly unknown[], options: NameOptions = {}): string {
  const { separator = ".", maxLength = 20 } = options;
  const clean = (part: unknown) =>
    transliterate(normalize(part, { case: "lower" }) ?? "", options).toLowerCase().replace(/[^a-z0-9_-]+/g, "");
  const name = parts.map(clean).filter((part) => part !== "").join(separator);
  return trimEnd(name.slice(0, maxLength), separator);
}

function trimEnd(name: string, separator: string): string {
  return separator !== "" && name.endsWith(separator) ? name.slice(0, -separator.length) : name;
}

/** How a name is made unique. */
export interface UniqueOptions {
  /** Most characters, the number included; no limit by default. */
  maxLength?: number;
  /** Between name and number; nothing by default. */
  separator?: string;
  /** The first number; 2 by default. */
  from?: number;
  /** Most names that are tried; 100 by default. */
  most?: number;
}

/** The first of `name`, `name2`, `name3` … that is not taken. Throws when all that may be tried are. */
export async function uniqueName(
  name: string,
  isTaken: (name: string) => boolean | Promise<boolean>,
  options: UniqueOptions = {},
): Promise<string> {
  const { maxLength = Infinity, separator = "", from = 2, most = 100 } = options;
  if (name === "") throw new Error("uniqueName: the name is empty");
  let candidate = name.slice(0, maxLength);
  for (let tried = 0; tried < most; tried++) {
    if (!(await isTaken(candidate))) return candidate;
    const number = `${separator}${from + tried}`;
    candidate = name.slice(0, Math.max(0, maxLength - number.length)) + number;
  }
  throw new Error(`uniqueName: ${most} names beginning with "${name}" are taken`);
}

/** A place where two values differ. */
export interface Difference {
  /** Such as `name.givenName` or `emails[0].value`; empty for the whole. */
  path: string;
  /** Undefined when there was nothing. */
  before: unknown;
  /** Undefined when nothing is left. */
  after: unknown;
}

/** Where two values differ, in the order of their members. Members that are undefined count as missing. */
export function diff(before: unknown, after: unknown): Difference[] {
  const found: Difference[] = [];
  compare(before, after, "", found);
  return found;
}

/** Whether two values have the same members, in any order. */
export function equal(one: unknown, other: unknown): boolean {
  return diff(one, other).length === 0;
}

function compare(before: unknown, after: unknown, path: string, found: Difference[]): void {
  if (Object.is(before, after)) return;
  if (Array.isArray(before) && Array.isArray(after)) {
    const length = Math.max(before.length, after.length);
    for (let i = 0; i < length; i++) compare(before[i], after[i], `${path}[${i}]`, found);
  } else if (isObject(before) && isObject(after)) {
    for (const name of new Set([...Object.keys(before), ...Object.keys(after)])) {
      compare(before[name], after[name], path === "" ? name : `${path}.${name}`, found);
    }
  } else {
    found.push({ path, before, after });
  }
}

/** What to send in order to make `before` into `after`, as a JSON merge patch (RFC 7396); undefined when they are equal. */
export function mergePatch(before: unknown, after: unknown): unknown {
  if (!isObject(before) || !isObject(after)) return equal(before, after) ? undefined : (after ?? null);
  const patch: Record<string, unknown> = {};
  for (const name of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const part = mergePatch(before[name], after[name]);
    if (part !== undefined) patch[name] = part;
  }
  return Object.keys(patch).length === 0 ? undefined : patch;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** What a password is made of. */
export interface PasswordOptions {
  /** Characters, 12 to 256; 20 by default. */
  length?: number;
  /** How many of each there are at least; one by default, 0 to leave a kind out. */
  lower?: number;
  upper?: number;
  digits?: number;
  symbols?: number;
  /** Which symbols; those that no system is known to stumble over by default. */
  symbolSet?: string;
  /** Also characters that look alike, such as l, 1 and I. */
  ambiguous?: boolean;
}

/** A random password. Every one that the options allow is as likely as any other of the same make-up. */
export function password(options: PasswordOptions = {}): string {
  const { length = 20, lower = 1, upper = 1, digits = 1, symbols = 1, symbolSet = "-_.!#%+=", ambiguous = false } =
    options;
  if (!Number.isInteger(length) || length < 12 || length > 256) {
    throw new RangeError("password: the length must lie within 12 and 256");
  }
  const plain = (set: string) => (ambiguous ? set : set.replace(/[Il1O0o]/g, ""));
  const kinds: [string, number][] = [
    [plain("abcdefghijklmnopqrstuvwxyz"), lower],
    [plain("ABCDEFGHIJKLMNOPQRSTUVWXYZ"), upper],
    [plain("0123456789"), digits],
    [symbolSet, symbols],
  ].filter(([set, least]) => (least as number) > 0 && set !== "") as [string, number][];
  const least = kinds.reduce((sum, [, count]) => sum + count, 0);
  if (kinds.length === 0 || least > length) throw new RangeError("password: more is asked for than it is long");
  const all = kinds.map(([set]) => set).join("");
  const letters = kinds.flatMap(([set, count]) => Array.from({ length: count }, () => pick(set)));
  while (letters.length < length) letters.push(pick(all));
  return shuffle(letters).join("");
}

function pick(set: string): string {
  return set.charAt(below(set.length));
}

function shuffle(letters: string[]): string[] {
  for (let i = letters.length - 1; i > 0; i--) {
    const j = below(i + 1);
    [letters[i], letters[j]] = [letters[j]!, letters[i]!];
  }
  return letters;
}

// A number from 0 to most − 1. What would make some likelier is drawn again.
function below(most: number): number {
  const limit = 0x1_0000_0000 - (0x1_0000_0000 % most);
  for (;;) {
    const [drawn] = crypto.getRandomValues(new Uint32Array(1));
    if (drawn! < limit) return drawn! % most;
  }
}

/** Where a value comes from: a path such as `attributes.name.givenName`, or a function. */
export type From<Source> = string | ((source: Source) => unknown);

/** An object with a member for each rule: `map(ctx.account, { mail: "attributes.mail", cn: (a) => … })`. Rules that give undefined are left out. */
export function map<Source extends object>(source: Source, rules: Record<string, From<Source>>): Record<string, any> {
  const mapped: Record<string, unknown> = {};
  for (const [name, rule] of Object.entries(rules)) {
    const value = typeof rule === "function" ? rule(source) : get(source, rule);
    if (value !== undefined) mapped[name] = value;
  }
  return mapped;
}

/** The value at a path such as `emails[0].value`; undefined when any of it is missing. */
export function get(source: unknown, path: string): any {
  let value: any = source;
  for (const step of path.split(/[.[\]]+/).filter((step) => step !== "")) {
    if (value === null || typeof value !== "object" || !Object.hasOwn(value, step)) return undefined;
    value = value[step];
  }
  return value;
}
