// `Intl` as far as it is honest: dates and times in the words of en-US, in any
// time zone. The standard lets a host know one locale only and say so
// (`supportedLocalesOf`, `resolvedOptions`). The engine's own pretends to know
// all of them, and is taken away; its time zones are real.
(function () {
const { primordials } = __bootstrap;
const {
  ArrayPrototypeIncludes,
  ArrayPrototypeJoin,
  ArrayPrototypeMap,
  ArrayPrototypePush,
  Date,
  DateNow,
  DatePrototypeGetTime,
  MathAbs,
  MathFloor,
  NumberIsFinite,
  NumberIsNaN,
  ObjectDefineProperty,
  ObjectGetOwnPropertyDescriptor,
  RangeError,
  RegExpPrototypeTest,
  SafeRegExp,
  SafeWeakMap,
  String,
  StringPrototypePadStart,
  StringPrototypeSlice,
  SymbolToStringTag,
  TypeError,
  WeakMapPrototypeGet,
  WeakMapPrototypeSet,
} = primordials;

// `(milliseconds, zone) => { timeZone, year, month, and so on, offsetNanoseconds }`
const localTime = globalThis.__v8xTemporalTimeZone;

const LOCALE = "en-US";
const MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];
const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const TEXT = ["narrow", "short", "long"];
const DIGITS = ["2-digit", "numeric"];
const STYLES = ["full", "long", "medium", "short"];
// What each option may be.
const COMPONENTS = {
  __proto__: null,
  weekday: TEXT,
  era: TEXT,
  year: DIGITS,
  month: ["2-digit", "numeric", "narrow", "short", "long"],
  day: DIGITS,
  hour: DIGITS,
  minute: DIGITS,
  second: DIGITS,
  fractionalSecondDigits: [1, 2, 3],
  timeZoneName: ["short", "long", "shortOffset", "longOffset", "shortGeneric", "longGeneric"],
};
const NAMES = ["weekday", "era", "year", "month", "day", "hour", "minute", "second", "fractionalSecondDigits", "timeZoneName"];
const OF_DATE = ["weekday", "year", "month", "day"];
const OF_TIME = ["hour", "minute", "second", "fractionalSecondDigits"];
const DATE_STYLES = {
  __proto__: null,
  full: { weekday: "long", month: "long", day: "numeric", year: "numeric" },
  long: { month: "long", day: "numeric", year: "numeric" },
  medium: { month: "short", day: "numeric", year: "numeric" },
  short: { month: "numeric", day: "numeric", year: "2-digit" },
};
const TIME_STYLES = {
  __proto__: null,
  full: { hour: "numeric", minute: "2-digit", second: "2-digit", timeZoneName: "long" },
  long: { hour: "numeric", minute: "2-digit", second: "2-digit", timeZoneName: "short" },
  medium: { hour: "numeric", minute: "2-digit", second: "2-digit" },
  short: { hour: "numeric", minute: "2-digit" },
};

function oneOf(name, list, value) {
  if (value === undefined) return undefined;
  const word = typeof list[0] === "number" ? +value : String(value);
  if (!ArrayPrototypeIncludes(list, word)) throw new RangeError(`${String(value)} is not a value of the option ${name}`);
  return word;
}

function isAny(settings, names) {
  for (let i = 0; i < names.length; i++) if (settings[names[i]] !== undefined) return true;
  return false;
}

// The settings of a formatter; `defaults` are "date", "time" or "all", for the
// components that are used when none is asked for.
function read(options, required, defaults) {
  const settings = { __proto__: null };
  const given = options === undefined ? {} : options;
  if (given === null) throw new TypeError("the options must be an object");
  for (let i = 0; i < NAMES.length; i++) settings[NAMES[i]] = oneOf(NAMES[i], COMPONENTS[NAMES[i]], given[NAMES[i]]);
  settings.dateStyle = oneOf("dateStyle", STYLES, given.dateStyle);
  settings.timeStyle = oneOf("timeStyle", STYLES, given.timeStyle);
  const cycle = oneOf("hourCycle", ["h11", "h12", "h23", "h24"], given.hourCycle);
  settings.hour12 = given.hour12 === undefined ? !(cycle === "h23" || cycle === "h24") : !!given.hour12;
  const zone = given.timeZone === undefined ? "UTC" : String(given.timeZone);
  try {
    settings.timeZone = localTime(0, zone).timeZone;
  } catch {
    throw new RangeError(`Invalid time zone specified: ${zone}`);
  }
  style(settings, required, defaults);
  return settings;
}

function style(settings, required, defaults) {
  const { dateStyle, timeStyle } = settings;
  if (dateStyle !== undefined || timeStyle !== undefined) {
    if (isAny(settings, NAMES)) throw new TypeError("dateStyle and timeStyle do not go with other options");
    if (dateStyle !== undefined && required === "time") throw new TypeError("dateStyle is no option for a time");
    if (timeStyle !== undefined && required === "date") throw new TypeError("timeStyle is no option for a date");
    settings.components = { __proto__: null, ...DATE_STYLES[dateStyle], ...TIME_STYLES[timeStyle] };
    return;
  }
  const components = settings.components = { __proto__: null };
  for (let i = 0; i < NAMES.length; i++) components[NAMES[i]] = settings[NAMES[i]];
  const hasDate = required !== "time" && isAny(settings, OF_DATE);
  const hasTime = required !== "date" && isAny(settings, OF_TIME);
  if (hasDate || hasTime) return;
  if (defaults !== "time") components.year = components.month = components.day = "numeric";
  if (defaults !== "date") components.hour = components.minute = components.second = "numeric";
}

function digits(value, how) {
  const text = String(value);
  return how === "2-digit" ? StringPrototypePadStart(StringPrototypeSlice(text, -2), 2, "0") : text;
}

function word(words, index, how) {
  return how === "long" ? words[index] : StringPrototypeSlice(words[index], 0, how === "short" ? 3 : 1);
}

function literal(parts, value) {
  if (parts.length > 0) ArrayPrototypePush(parts, { type: "literal", value });
}

function datePart(c, at, parts) {
  const isText = ArrayPrototypeIncludes(TEXT, c.month);
  if (c.weekday !== undefined) {
    const day = MathFloor((at.milliseconds + at.offset) / 86_400_000);
    ArrayPrototypePush(parts, { type: "weekday", value: word(DAYS, (((day + 4) % 7) + 7) % 7, c.weekday) });
  }
  if (c.month !== undefined) {
    literal(parts, ", ");
    ArrayPrototypePush(parts, { type: "month", value: isText ? word(MONTHS, at.month - 1, c.month) : digits(at.month, c.month) });
  }
  if (c.day !== undefined) {
    literal(parts, c.month === undefined ? (c.weekday === undefined ? "" : " ") : (isText ? " " : "/"));
    ArrayPrototypePush(parts, { type: "day", value: digits(at.day, c.day) });
  }
  if (c.year !== undefined) {
    const after = isText ? (c.day === undefined ? " " : ", ") : (c.month === undefined && c.day === undefined ? ", " : "/");
    literal(parts, after);
    // The year before 1 AD is 1 BC.
    const year = c.era !== undefined && at.year <= 0 ? 1 - at.year : at.year;
    ArrayPrototypePush(parts, { type: "year", value: digits(year, c.year) });
  }
  if (c.era !== undefined) {
    literal(parts, " ");
    ArrayPrototypePush(parts, { type: "era", value: at.year <= 0 ? "BC" : "AD" });
  }
}

function timePart(c, at, hour12, parts) {
  const hasHour = c.hour !== undefined;
  if (hasHour) {
    const hour = hour12 ? (at.hour + 11) % 12 + 1 : at.hour;
    ArrayPrototypePush(parts, { type: "hour", value: digits(hour, hour12 ? c.hour : "2-digit") });
  }
  if (c.minute !== undefined) {
    literal(parts, ":");
    ArrayPrototypePush(parts, { type: "minute", value: digits(at.minute, hasHour || c.second !== undefined ? "2-digit" : c.minute === "2-digit" ? "numeric" : c.minute) });
  }
  if (c.second !== undefined) {
    literal(parts, ":");
    ArrayPrototypePush(parts, { type: "second", value: digits(at.second, c.minute !== undefined ? "2-digit" : c.second === "2-digit" ? "numeric" : c.second) });
  }
  if (c.fractionalSecondDigits !== undefined) {
    literal(parts, ".");
    const thousandths = StringPrototypePadStart(String(((at.milliseconds % 1000) + 1000) % 1000), 3, "0");
    ArrayPrototypePush(parts, { type: "fractionalSecond", value: StringPrototypeSlice(thousandths, 0, c.fractionalSecondDigits) });
  }
  if (hasHour && hour12) {
    literal(parts, " ");
    ArrayPrototypePush(parts, { type: "dayPeriod", value: at.hour < 12 ? "AM" : "PM" });
  }
}

// Names of zones are not known: UTC, and offsets from GMT.
function zoneName(how, timeZone, offset) {
  const isOffset = how === "longOffset" || how === "shortOffset";
  if (timeZone === "UTC" && !isOffset) return how === "long" ? "Coordinated Universal Time" : "UTC";
  if (offset === 0 && !isOffset) return "GMT";
  const minutes = MathAbs(offset) / 60_000;
  const [hours, rest] = [MathFloor(minutes / 60), MathFloor(minutes % 60)];
  const long = how === "long" || how === "longOffset";
  const tail = long || rest > 0 ? `:${StringPrototypePadStart(String(rest), 2, "0")}` : "";
  return `GMT${offset < 0 ? "-" : "+"}${long ? StringPrototypePadStart(String(hours), 2, "0") : hours}${tail}`;
}

function partsOf(settings, milliseconds) {
  if (!NumberIsFinite(milliseconds)) throw new RangeError("Invalid time value");
  const { components: c, timeZone, hour12 } = settings;
  const at = localTime(milliseconds, timeZone);
  at.milliseconds = milliseconds;
  at.offset = at.offsetNanoseconds / 1e6;
  const date = [];
  const time = [];
  datePart(c, at, date);
  timePart(c, at, hour12, time);
  if (c.timeZoneName !== undefined) {
    literal(time.length > 0 ? time : date, time.length > 0 ? " " : ", ");
    ArrayPrototypePush(time.length > 0 ? time : date, { type: "timeZoneName", value: zoneName(c.timeZoneName, timeZone, at.offset) });
  }
  if (date.length === 0) return time;
  if (time.length === 0) return date;
  const between = c.month === "long" ? " at " : c.day === undefined && c.year === undefined && c.month === undefined ? " " : ", ";
  return [...date, { type: "literal", value: between }, ...time];
}

function text(settings, milliseconds) {
  return ArrayPrototypeJoin(ArrayPrototypeMap(partsOf(settings, milliseconds), (part) => part.value), "");
}

function time(date) {
  return date === undefined ? DateNow() : +date;
}

const formatters = new SafeWeakMap();

function settingsOf(formatter) {
  const settings = WeakMapPrototypeGet(formatters, formatter);
  if (settings === undefined) throw new TypeError("it is no Intl.DateTimeFormat");
  return settings;
}

// May be called without `new`.
function DateTimeFormat(_locales = undefined, options = undefined) {
  const self = new.target === undefined ? new DateTimeFormat() : this;
  const settings = read(options, "any", "date");
  WeakMapPrototypeSet(formatters, self, settings);
  return self;
}
const methods = {
  get format() {
    const settings = settingsOf(this);
    return (date = undefined) => text(settings, time(date));
  },
  formatToParts(date = undefined) {
    return partsOf(settingsOf(this), time(date));
  },
  resolvedOptions() {
    const { components, timeZone, hour12, dateStyle, timeStyle } = settingsOf(this);
    const resolved = { locale: LOCALE, calendar: "gregory", numberingSystem: "latn", timeZone };
    if (components.hour !== undefined) {
      resolved.hourCycle = hour12 ? "h12" : "h23";
      resolved.hour12 = hour12;
    }
    if (dateStyle !== undefined) resolved.dateStyle = dateStyle;
    if (timeStyle !== undefined) resolved.timeStyle = timeStyle;
    for (let i = 0; i < NAMES.length && dateStyle === undefined && timeStyle === undefined; i++) {
      if (components[NAMES[i]] !== undefined) resolved[NAMES[i]] = components[NAMES[i]];
    }
    return resolved;
  },
};

function supportedLocalesOf(locales = undefined) {
  const list = locales === undefined ? [] : typeof locales === "string" ? [locales] : [...locales];
  return list.filter((tag) => RegExpPrototypeTest(ENGLISH, String(tag)));
}
const ENGLISH = new SafeRegExp("^en(?:-US)?$", "i");

function define(owner, name, descriptor) {
  ObjectDefineProperty(owner, name, { __proto__: null, enumerable: false, configurable: true, ...descriptor });
}

// A method of `Date` that shows it: what has to be asked for, and what is shown
// when nothing is.
function shows(required, defaults) {
  return {
    show(_locales = undefined, options = undefined) {
      const milliseconds = DatePrototypeGetTime(this);
      const settings = read(options, required, defaults);
      return NumberIsNaN(milliseconds) ? "Invalid Date" : text(settings, milliseconds);
    },
  }.show;
}

// Puts it in place of the engine's, unless that is a real one.
function install(scope) {
  if (localTime === undefined) return;
  const { prototype } = DateTimeFormat;
  define(prototype, "format", ObjectGetOwnPropertyDescriptor(methods, "format"));
  define(prototype, "formatToParts", { value: methods.formatToParts, writable: true });
  define(prototype, "resolvedOptions", { value: methods.resolvedOptions, writable: true });
  define(prototype, SymbolToStringTag, { value: "Intl.DateTimeFormat" });
  define(DateTimeFormat, "supportedLocalesOf", { value: supportedLocalesOf, writable: true });
  const intl = {};
  define(intl, "DateTimeFormat", { value: DateTimeFormat, writable: true });
  define(intl, SymbolToStringTag, { value: "Intl" });
  define(scope, "Intl", { value: intl, writable: true });
  define(Date.prototype, "toLocaleString", { value: shows("any", "all"), writable: true });
  define(Date.prototype, "toLocaleDateString", { value: shows("date", "date"), writable: true });
  define(Date.prototype, "toLocaleTimeString", { value: shows("time", "time"), writable: true });
}

return { install };
})();
