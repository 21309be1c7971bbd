// The contract between provisiond and provisioning logic, for editors and for
// `tsc`. How to use it: docs/logic.md, "Types in your editor".
//
// Compile with `"lib": ["esnext"]` and without "dom": the host offers a part of
// the web's interfaces, which is declared at the end of this file. Of the
// language's, "esnext" may know some that are not there: docs/web-platform.md.

declare module "provisiond" {
  /** Any value that survives JSON. */
  export type Json = string | number | boolean | null | Json[] | { [name: string]: Json };

  /** Why logic runs. */
  export type Reason = "provision" | "deprovision";

  /** What made it run now. */
  export type Trigger =
    /** The account was created. */
    | "created"
    /** Something that its record holds changed. */
    | "updated"
    /** It was deleted. */
    | "deleted"
    /** It joined or left a group or an organization, or one of these was renamed. */
    | "membershipChanged"
    /** A change made it match the target's filter. */
    | "enteredFilter"
    /** A change made it stop matching the filter. */
    | "leftFilter"
    /** The target's filter was edited. */
    | "filterChanged"
    /** The target was enabled. */
    | "enabled"
    /** A person asked for this account. */
    | "manual"
    /** A person asked for every account in scope. */
    | "force"
    /** Logic had asked for this time, with `runAgainIn` or `runAgainAt`. */
    | "schedule"
    /** An earlier attempt failed. */
    | "retry"
    /** Logic had answered `deprovision`. */
    | "logic"
    /** A target that this one depends on has left another remote id or metadata. */
    | "dependency";

  /** What became of an account at a target. */
  export type Status =
    | "pending"
    | "provisioned"
    | "provisionFailed"
    | "provisionNotNeeded"
    | "provisionOngoing"
    | "deprovisioned";

  /** The kind of a failure. `permanent` is not retried, the others are. */
  export type ErrorClass = "transient" | "rateLimited" | "auth" | "permanent" | "logic";

  /** Where a record stands in its life. */
  export type SubjectStatus =
    | "active"
    | "inactive"
    | "pending"
    | "gracePeriod"
    | "suspended"
    | "locked"
    | "expired"
    | "archived";

  /**
   * Stands for a secret, such as `__secret_token_0123456789abcdef__`. Put it
   * into a URL's path or query, a header or a body: the value takes its place
   * when the request leaves the daemon. Or give it to `crypto.subtle.importKey`
   * and sign with the key. There is no way to read the value here.
   */
  export type SecretHandle = string & { readonly __provisiondSecret: true };

  /** The shapes that an author knows better than this file. All optional. */
  export interface Shapes {
    /** `ctx.account.attributes`. */
    attributes?: object;
    /** `ctx.previous.metadata`, and `metadata` in the response. */
    metadata?: unknown;
    /** `ctx.target.config`. */
    config?: object;
    /** `ctx.connection`, apart from `secrets`. */
    connection?: object;
  }

  type Loose = { [name: string]: any };
  type Shape<S extends Shapes, Name extends keyof Shapes, Default> = S extends {
    [N in Name]: infer Given;
  }
    ? Given
    : Default;

  /** A record of the identity store, as it is when the run begins. */
  export interface Subject<Attributes = Loose> {
    /** `account`: other kinds do not become work yet. */
    readonly kind: "account";
    /** Its id in provisiond; opaque. */
    readonly id: string;
    /** The id that its source gave it. */
    readonly externalId: string | null;
    /** Log-in name. */
    readonly userName: string;
    /** Name for people. */
    readonly displayName: string | null;
    readonly status: SubjectStatus;
    /** Everything else. */
    readonly attributes: Attributes;
    /** Counts the changes of the record, from 1. */
    readonly version: number;
    /** RFC 3339, UTC. */
    readonly createdAt: string;
    /** When the version last rose. RFC 3339, UTC. */
    readonly updatedAt: string;
    /** Set when the account was deleted; its record is still whole. RFC 3339, UTC. */
    readonly deletedAt: string | null;
  }

  /** A person's record. */
  export type Account<Attributes = Loose> = Subject<Attributes>;

  /** A group or organization that the account belongs to. */
  export interface Container {
    /** Its id in provisiond; opaque. */
    readonly id: string;
    /** The id that its source gave it. */
    readonly externalId: string | null;
    /** Its name within the store. */
    readonly displayName: string;
  }
  export type Group = Container;
  export type Organization = Container;

  /** What the last run of this account at this target left. */
  export interface Previous<Metadata = any> {
    /** `pending` before the first run. */
    readonly status: Status;
    /** The id in the external system that logic last reported. */
    readonly remoteId: string | null;
    /** What logic last kept. */
    readonly metadata: Metadata | null;
    /** When logic last ended. RFC 3339, UTC. */
    readonly lastRunAt: string | null;
  }

  /** What a target has left that this one depends on. */
  export interface Dependency {
    /**
     * Of its last run of this account. Before the first one `pending`, or
     * `provisionNotNeeded` when the account is out of its scope.
     */
    readonly status: Status;
    /** The id in its external system; stays known after a deprovision. */
    readonly remoteId: string | null;
    /** What its logic last kept. */
    readonly metadata: any;
  }

  /** What logic is given, whatever the reason. */
  interface ContextBase<S extends Shapes> {
    readonly trigger: Trigger;
    /** Counts the attempts at this version, from 1. */
    readonly attempt: number;
    /**
     * The same in every retry of one version and reason, another one when a
     * finished version is run again on purpose. For `Idempotency-Key` headers.
     */
    readonly idempotencyKey: string;
    /** What this run is about. */
    readonly subject: Subject<Shape<S, "attributes", Loose>>;
    /** The same record as `subject`. */
    readonly account: Account<Shape<S, "attributes", Loose>>;
    /** The groups that the account is a member of. */
    readonly groups: readonly Group[];
    /** The organization that it belongs to: none or one. */
    readonly organizations: readonly Organization[];
    /** For groups as subjects. Always empty as yet. */
    readonly members: readonly Account[];
    /**
     * The names of what changed since the version that was last done: core
     * fields (`userName`, `status`, `groups`, …) and top-level attributes.
     * Empty when nobody knows, as in a force provision. A hint, never a reason
     * to leave something out of the external system.
     */
    readonly changes: readonly string[];
    readonly previous: Previous<Shape<S, "metadata", any>>;
    readonly target: {
      readonly id: string;
      readonly name: string;
      /** The target's `config`. */
      readonly config: Shape<S, "config", Loose>;
    };
    /**
     * The target's `connection.properties`, and its secrets as handles. Reading a
     * secret that there is not throws: `"token" in ctx.connection.secrets` asks.
     */
    readonly connection: Shape<S, "connection", Loose> & {
      readonly secrets: { readonly [name: string]: SecretHandle };
    };
    /**
     * What the targets have left that this one depends on (its `dependsOn`), by
     * name. All of them are there, also those that do not apply to the account.
     */
    readonly dependencies: { readonly [target: string]: Dependency };
    /** Aborts when the run is about to be ended from outside. */
    readonly signal: AbortSignal;
  }

  /** `ctx` of a run that creates or updates. */
  export interface ProvisionContext<S extends Shapes = {}> extends ContextBase<S> {
    readonly reason: "provision";
  }

  /** `ctx` of a run that removes or deactivates. */
  export interface DeprovisionContext<S extends Shapes = {}> extends ContextBase<S> {
    readonly reason: "deprovision";
  }

  /** What logic is given. Compare `ctx.reason` to tell the two apart. */
  export type Context<S extends Shapes = {}> = ProvisionContext<S> | DeprovisionContext<S>;

  interface ResponseBase<Metadata> {
    /** One sentence for people; cut at 2,000 characters. */
    message?: string | null;
    /**
     * The id in the external system, 1 to 1,024 characters; a whole number within
     * ±(2^53 − 1) becomes a string. Left out or null: the one that is known stays.
     * One that another living account has at the target is refused, and nothing is
     * recorded.
     */
    remoteId?: string | number | null;
    /**
     * Kept until the next run, where it is `ctx.previous.metadata`. At most
     * 256 KiB of JSON. Left out or null: what is kept stays; `{}` empties it.
     */
    metadata?: Metadata | null;
    /**
     * Written back to the account's attributes, as a JSON merge patch (null
     * removes). Does not run this target again. At most 256 KiB of JSON.
     */
    attributes?: { [name: string]: unknown } | null;
  }

  /**
   * When to run again: seconds or an ISO 8601 duration in weeks, days, hours,
   * minutes and seconds, or a time (RFC 3339). Not both; at most 366 days; not
   * before the floor, which is 10 seconds by default.
   */
  type Again =
    | { runAgainIn?: number | string | null; runAgainAt?: null }
    | { runAgainIn?: null; runAgainAt?: string | null };

  type Never = { runAgainIn?: null; runAgainAt?: null };
  type NoClass = { errorClass?: null };

  /** The external system holds the account as it is here. */
  export type Provisioned<Metadata = any> = ResponseBase<Metadata> &
    Again &
    NoClass & { status: "provisioned" };

  /** It did not work. Without `runAgain…` the class decides about the retry. */
  export type ProvisionFailed<Metadata = any> = ResponseBase<Metadata> &
    Again & {
      status: "provisionFailed";
      /** Left out: that of the worst exchange that failed and was not made good, else `logic`. */
      errorClass?: ErrorClass | null;
    };

  /** There is nothing to do for this account. */
  export type ProvisionNotNeeded<Metadata = any> = ResponseBase<Metadata> &
    Again &
    NoClass & { status: "provisionNotNeeded" };

  /** The external system works on it: run again, after a minute unless told otherwise. */
  export type ProvisionOngoing<Metadata = any> = ResponseBase<Metadata> &
    Again &
    NoClass & { status: "provisionOngoing" };

  /** The account was removed or deactivated there. Only for `deprovision`. */
  export type Deprovisioned<Metadata = any> = ResponseBase<Metadata> &
    Again &
    NoClass & { status: "deprovisioned" };

  /** Run this account again at once, with the reason `deprovision`. Only for `provision`. */
  export type AskToDeprovision<Metadata = any> = ResponseBase<Metadata> &
    Never &
    NoClass & { status: "deprovision" };

  /** What a run with the reason `provision` may return. */
  export type ProvisionResult<Metadata = any> =
    | Provisioned<Metadata>
    | ProvisionFailed<Metadata>
    | ProvisionNotNeeded<Metadata>
    | ProvisionOngoing<Metadata>
    | AskToDeprovision<Metadata>;

  /** What a run with the reason `deprovision` may return. */
  export type DeprovisionResult<Metadata = any> =
    | Deprovisioned<Metadata>
    | ProvisionFailed<Metadata>
    | ProvisionNotNeeded<Metadata>
    | ProvisionOngoing<Metadata>;

  /** What logic may return. */
  export type Result<Metadata = any> = ProvisionResult<Metadata> | DeprovisionResult<Metadata>;

  /**
   * Provisioning logic: the default export, or `module.exports`. A function
   * that is not async works too; give it `@returns {Result}` instead.
   */
  export type Logic<S extends Shapes = {}> = (
    ctx: Context<S>,
  ) => Promise<Result<Shape<S, "metadata", any>>>;

  /** A part of logic that only serves runs with the reason `provision`. */
  export type ProvisionLogic<S extends Shapes = {}> = (
    ctx: ProvisionContext<S>,
  ) => Promise<ProvisionResult<Shape<S, "metadata", any>>>;

  /** A part of logic that only serves runs with the reason `deprovision`. */
  export type DeprovisionLogic<S extends Shapes = {}> = (
    ctx: DeprovisionContext<S>,
  ) => Promise<DeprovisionResult<Shape<S, "metadata", any>>>;

  /** What `fetch` throws when there is no answer. */
  export interface HostCallError extends TypeError {
    /** Decides about the retry when logic does not catch it. */
    readonly errorClass: ErrorClass;
    /** Seconds that the remote asked to wait. */
    readonly retryAfter?: number;
  }

  /** Writes lines to the log of the run, as `console` does; `log(…)` is `log.info(…)`. */
  export const log: {
    (...values: unknown[]): void;
    readonly debug: (...values: unknown[]) => void;
    readonly info: (...values: unknown[]) => void;
    readonly warn: (...values: unknown[]) => void;
    readonly error: (...values: unknown[]) => void;
  };
  /** What a test beside the logic gets: `export const tests = { "name": async (t) => { … } }`. */
  export interface Test {
    /** Calls logic with what is made up here; every member has a default. */
    run(options?: TestRun): Promise<TestOutcome>;
    /** Fails unless both have the same members. */
    equal(actual: unknown, expected: unknown, message?: string): void;
    /** Fails unless the value is true or like true. */
    ok(value: unknown, message?: string): void;
  }

  /** The tests of a piece of logic. They are run before it is published. */
  export type Tests = Record<string, (t: Test) => unknown>;

  export interface TestRun {
    reason?: Reason;
    trigger?: Trigger;
    attempt?: number;
    /** Merged into a made-up account. */
    account?: Partial<Account>;
    groups?: Partial<Group>[];
    organizations?: Partial<Organization>[];
    changes?: string[];
    previous?: Partial<Previous>;
    /** `ctx.target.config`. */
    config?: object;
    connection?: object;
    dependencies?: Record<string, Partial<Dependency>>;
    /** What requests are answered with: the first entry that fits, or what a function gives. A request that nothing answers fails. */
    answers?: TestAnswer[] | ((request: TestRequest) => TestAnswer | Response | undefined | Promise<TestAnswer | Response | undefined>);
  }

  export interface TestAnswer {
    method?: string;
    /** The whole address, with `*` for any characters, or a regular expression. */
    url?: string | RegExp;
    /** 200 by default. */
    status?: number;
    headers?: Record<string, string>;
    /** A text, or any other value as JSON. */
    body?: unknown;
    /** How often it may be used; always by default. */
    times?: number;
    /** Fails the request instead, with this message. */
    error?: string;
    /** Of such a failure; `transient` by default. */
    errorClass?: ErrorClass;
    retryAfter?: number;
  }

  export interface TestRequest {
    method: string;
    url: string;
    /** Names in lower case. */
    headers: Record<string, string>;
    /** JSON as a value, anything else as text; null for none. */
    body: any;
  }

  export interface TestOutcome {
    /** What logic returned; undefined when it threw, or returned what is no response to the reason. */
    response: any;
    /** What it threw, or what the daemon would say of what it returned. */
    error: any;
    /** What it sent, in order. */
    requests: TestRequest[];
  }

}

declare module "provisiond:mapping" {
  /** Text in Unicode form NFC, without white space around it and with single spaces in it; null when nothing is left. */
  export function normalize(value: unknown, options?: { case?: "lower" | "upper" }): string | null;

  export interface TransliterateOptions {
    /** Which language's rules to follow where they differ; without one, marks are left out. */
    language?: "de" | "da" | "nb" | "sv" | "fi" | "hu" | "tr";
    /** Takes the place of what cannot be written in ASCII; nothing by default. */
    unknown?: string;
  }
  /** Text in ASCII: "Łukasz Müller" becomes "Lukasz Muller", in German "Lukasz Mueller". */
  export function transliterate(text: string, options?: TransliterateOptions): string;

  export interface NameOptions extends TransliterateOptions {
    /** Between the parts; a dot by default. */
    separator?: string;
    /** Most characters; 20 by default, which old Windows domains ask for. */
    maxLength?: number;
  }
  /** A name to log in with: `["Zoë", "de Vries"]` becomes `zoe.devries`. */
  export function loginName(parts: readonly unknown[], options?: NameOptions): string;

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
  export function uniqueName(
    name: string,
    isTaken: (name: string) => boolean | Promise<boolean>,
    options?: UniqueOptions,
  ): Promise<string>;

  export interface Difference {
    /** Such as `emails[0].value`; empty for the whole. */
    path: string;
    before: unknown;
    after: unknown;
  }
  /** Where two values differ. Members that are undefined count as missing. */
  export function diff(before: unknown, after: unknown): Difference[];
  /** Whether two values have the same members, in any order. */
  export function equal(one: unknown, other: unknown): boolean;
  /** What makes `before` into `after`, as a JSON merge patch (RFC 7396); undefined when they are equal. */
  export function mergePatch(before: unknown, after: unknown): unknown;

  export interface PasswordOptions {
    /** Characters, 12 to 256; 20 by default. */
    length?: number;
    /** How many of each there are at least; one by default, 0 to leave a kind out. */
    lower?: number;
    upper?: number;
    digits?: number;
    symbols?: number;
    symbolSet?: string;
    /** Also characters that look alike, such as l, 1 and I. */
    ambiguous?: boolean;
  }
  /** A random password. */
  export function password(options?: PasswordOptions): string;

  /** A path such as `attributes.name.givenName`, or a function. */
  export type From<Source> = string | ((source: Source) => unknown);
  /** An object with a member for each rule. Rules that give undefined are left out. */
  export function map<Source extends object>(
    source: Source,
    rules: Record<string, From<Source>>,
  ): Record<string, any>;
  /** The value at a path such as `emails[0].value`; undefined when any of it is missing. */
  export function get(source: unknown, path: string): any;
}

// What the host offers of the web's interfaces. They follow their standards
// (WHATWG Fetch, URL, URL Pattern, Encoding, Streams, DOM, HTML timers, File API,
// Web Cryptography). What deviates: docs/web-platform.md.

/** Bytes: read, never kept. */
type BufferSource = ArrayBuffer | ArrayBufferView;

interface Event {
  readonly type: string;
  readonly target: EventTarget | null;
  readonly currentTarget: EventTarget | null;
  readonly srcElement: EventTarget | null;
  readonly eventPhase: number;
  readonly bubbles: boolean;
  readonly cancelable: boolean;
  readonly composed: boolean;
  readonly defaultPrevented: boolean;
  readonly isTrusted: boolean;
  readonly timeStamp: number;
  cancelBubble: boolean;
  returnValue: boolean;
  readonly NONE: 0;
  readonly CAPTURING_PHASE: 1;
  readonly AT_TARGET: 2;
  readonly BUBBLING_PHASE: 3;
  composedPath(): EventTarget[];
  initEvent(type: string, bubbles?: boolean, cancelable?: boolean): void;
  preventDefault(): void;
  stopImmediatePropagation(): void;
  stopPropagation(): void;
}
interface EventInit {
  bubbles?: boolean;
  cancelable?: boolean;
  composed?: boolean;
}
declare var Event: {
  prototype: Event;
  new (type: string, init?: EventInit): Event;
  readonly NONE: 0;
  readonly CAPTURING_PHASE: 1;
  readonly AT_TARGET: 2;
  readonly BUBBLING_PHASE: 3;
};

interface CustomEvent<T = any> extends Event {
  readonly detail: T;
}
declare var CustomEvent: {
  prototype: CustomEvent;
  new <T>(type: string, init?: EventInit & { detail?: T }): CustomEvent<T>;
};

type EventListener = ((event: any) => void) | { handleEvent(event: any): void };
interface EventTarget {
  addEventListener(
    type: string,
    listener: EventListener | null,
    options?: boolean | { capture?: boolean; once?: boolean; passive?: boolean; signal?: AbortSignal },
  ): void;
  dispatchEvent(event: Event): boolean;
  removeEventListener(type: string, listener: EventListener | null, options?: boolean | { capture?: boolean }): void;
}
declare var EventTarget: { prototype: EventTarget; new (): EventTarget };

/** How much a stream keeps before it asks its source to wait. */
interface QueuingStrategy<T = any> {
  highWaterMark?: number;
  size?: (chunk: T) => number;
}
interface ByteLengthQueuingStrategy {
  readonly highWaterMark: number;
  readonly size: (chunk: ArrayBufferView) => number;
}
declare var ByteLengthQueuingStrategy: {
  prototype: ByteLengthQueuingStrategy;
  new (init: { highWaterMark: number }): ByteLengthQueuingStrategy;
};
interface CountQueuingStrategy {
  readonly highWaterMark: number;
  readonly size: () => number;
}
declare var CountQueuingStrategy: {
  prototype: CountQueuingStrategy;
  new (init: { highWaterMark: number }): CountQueuingStrategy;
};

type ReadableStreamReadResult<T> = { done: false; value: T } | { done: true; value: T | undefined };
interface ReadableStreamDefaultReader<R = any> {
  readonly closed: Promise<undefined>;
  cancel(reason?: unknown): Promise<void>;
  read(): Promise<ReadableStreamReadResult<R>>;
  releaseLock(): void;
}
declare var ReadableStreamDefaultReader: {
  prototype: ReadableStreamDefaultReader;
  new <R = any>(stream: ReadableStream<R>): ReadableStreamDefaultReader<R>;
};
/** Made by `getReader({ mode: "byob" })`; no global names it. */
interface ReadableStreamBYOBReader {
  readonly closed: Promise<undefined>;
  cancel(reason?: unknown): Promise<void>;
  read<T extends ArrayBufferView>(view: T, options?: { min?: number }): Promise<ReadableStreamReadResult<T>>;
  releaseLock(): void;
}
interface ReadableStreamDefaultController<R = any> {
  readonly desiredSize: number | null;
  close(): void;
  enqueue(chunk?: R): void;
  error(reason?: unknown): void;
}
interface ReadableByteStreamController {
  readonly byobRequest: ReadableStreamBYOBRequest | null;
  readonly desiredSize: number | null;
  close(): void;
  enqueue(chunk: ArrayBufferView): void;
  error(reason?: unknown): void;
}
interface ReadableStreamBYOBRequest {
  readonly view: ArrayBufferView | null;
  respond(bytesWritten: number): void;
  respondWithNewView(view: ArrayBufferView): void;
}
interface UnderlyingSource<R = any> {
  type?: undefined;
  start?(controller: ReadableStreamDefaultController<R>): unknown;
  pull?(controller: ReadableStreamDefaultController<R>): void | PromiseLike<void>;
  cancel?(reason?: any): void | PromiseLike<void>;
}
interface UnderlyingByteSource {
  type: "bytes";
  autoAllocateChunkSize?: number;
  start?(controller: ReadableByteStreamController): unknown;
  pull?(controller: ReadableByteStreamController): void | PromiseLike<void>;
  cancel?(reason?: any): void | PromiseLike<void>;
}
interface StreamPipeOptions {
  preventAbort?: boolean;
  preventCancel?: boolean;
  preventClose?: boolean;
  signal?: AbortSignal;
}
interface ReadableStream<R = any> extends AsyncIterable<R> {
  readonly locked: boolean;
  cancel(reason?: unknown): Promise<void>;
  getReader(options: { mode: "byob" }): ReadableStreamBYOBReader;
  getReader(options?: { mode?: undefined }): ReadableStreamDefaultReader<R>;
  pipeThrough<T>(
    transform: { readable: ReadableStream<T>; writable: WritableStream<R> },
    options?: StreamPipeOptions,
  ): ReadableStream<T>;
  pipeTo(destination: WritableStream<R>, options?: StreamPipeOptions): Promise<void>;
  tee(): [ReadableStream<R>, ReadableStream<R>];
  values(options?: { preventCancel?: boolean }): AsyncIterableIterator<R>;
  [Symbol.asyncIterator](options?: { preventCancel?: boolean }): AsyncIterableIterator<R>;
}
declare var ReadableStream: {
  prototype: ReadableStream;
  new (source: UnderlyingByteSource, strategy?: { highWaterMark?: number }): ReadableStream<Uint8Array>;
  new <R = any>(source?: UnderlyingSource<R>, strategy?: QueuingStrategy<R>): ReadableStream<R>;
  from<R>(chunks: Iterable<R | PromiseLike<R>> | AsyncIterable<R>): ReadableStream<R>;
};

/** Made by `getWriter()`; no global names it. */
interface WritableStreamDefaultWriter<W = any> {
  readonly closed: Promise<undefined>;
  readonly desiredSize: number | null;
  readonly ready: Promise<undefined>;
  abort(reason?: unknown): Promise<void>;
  close(): Promise<void>;
  releaseLock(): void;
  write(chunk?: W): Promise<void>;
}
interface WritableStreamDefaultController {
  readonly signal: AbortSignal;
  error(reason?: unknown): void;
}
interface UnderlyingSink<W = any> {
  start?(controller: WritableStreamDefaultController): unknown;
  write?(chunk: W, controller: WritableStreamDefaultController): void | PromiseLike<void>;
  close?(): void | PromiseLike<void>;
  abort?(reason?: any): void | PromiseLike<void>;
}
interface WritableStream<W = any> {
  readonly locked: boolean;
  abort(reason?: unknown): Promise<void>;
  close(): Promise<void>;
  getWriter(): WritableStreamDefaultWriter<W>;
}
declare var WritableStream: {
  prototype: WritableStream;
  new <W = any>(sink?: UnderlyingSink<W>, strategy?: QueuingStrategy<W>): WritableStream<W>;
};

interface TransformStreamDefaultController<O = any> {
  readonly desiredSize: number | null;
  enqueue(chunk?: O): void;
  error(reason?: unknown): void;
  terminate(): void;
}
interface Transformer<I = any, O = any> {
  start?(controller: TransformStreamDefaultController<O>): unknown;
  transform?(chunk: I, controller: TransformStreamDefaultController<O>): void | PromiseLike<void>;
  flush?(controller: TransformStreamDefaultController<O>): void | PromiseLike<void>;
  cancel?(reason?: any): void | PromiseLike<void>;
}
interface TransformStream<I = any, O = any> {
  readonly readable: ReadableStream<O>;
  readonly writable: WritableStream<I>;
}
declare var TransformStream: {
  prototype: TransformStream;
  new <I = any, O = any>(
    transformer?: Transformer<I, O>,
    writableStrategy?: QueuingStrategy<I>,
    readableStrategy?: QueuingStrategy<O>,
  ): TransformStream<I, O>;
};

interface Headers extends Iterable<[string, string]> {
  append(name: string, value: string): void;
  delete(name: string): void;
  get(name: string): string | null;
  getSetCookie(): string[];
  has(name: string): boolean;
  set(name: string, value: string): void;
  forEach(visit: (value: string, name: string, headers: Headers) => void): void;
  entries(): IterableIterator<[string, string]>;
  keys(): IterableIterator<string>;
  values(): IterableIterator<string>;
}
declare var Headers: { prototype: Headers; new (init?: HeadersInit): Headers };
type HeadersInit = Headers | [string, string][] | Record<string, string>;

interface Blob {
  readonly size: number;
  readonly type: string;
  arrayBuffer(): Promise<ArrayBuffer>;
  bytes(): Promise<Uint8Array>;
  slice(start?: number, end?: number, type?: string): Blob;
  stream(): ReadableStream<Uint8Array>;
  text(): Promise<string>;
}
type BlobPart = string | Blob | BufferSource;
interface BlobPropertyBag {
  type?: string;
  /** `native` makes every line end a line feed. */
  endings?: "transparent" | "native";
}
declare var Blob: { prototype: Blob; new (parts?: Iterable<BlobPart>, options?: BlobPropertyBag): Blob };

interface File extends Blob {
  readonly lastModified: number;
  readonly name: string;
  readonly webkitRelativePath: string;
}
declare var File: {
  prototype: File;
  new (parts: Iterable<BlobPart>, name: string, options?: BlobPropertyBag & { lastModified?: number }): File;
};

interface FormData extends Iterable<[string, string | File]> {
  append(name: string, value: string | Blob, fileName?: string): void;
  delete(name: string): void;
  get(name: string): string | File | null;
  getAll(name: string): (string | File)[];
  has(name: string): boolean;
  set(name: string, value: string | Blob, fileName?: string): void;
  forEach(visit: (value: string | File, name: string, form: FormData) => void): void;
  entries(): IterableIterator<[string, string | File]>;
  keys(): IterableIterator<string>;
  values(): IterableIterator<string | File>;
}
declare var FormData: { prototype: FormData; new (): FormData };

type BodyInit = string | URLSearchParams | FormData | Blob | BufferSource | ReadableStream<Uint8Array>;

interface Body {
  /**
   * Null when there is none, as in an answer with status 204:
   * `for await (const chunk of response.body ?? [])`.
   */
  readonly body: ReadableStream<Uint8Array> | null;
  readonly bodyUsed: boolean;
  arrayBuffer(): Promise<ArrayBuffer>;
  blob(): Promise<Blob>;
  bytes(): Promise<Uint8Array>;
  formData(): Promise<FormData>;
  json(): Promise<any>;
  text(): Promise<string>;
}

interface RequestInit {
  method?: string;
  headers?: HeadersInit;
  body?: BodyInit | null;
  /**
   * Left out: redirects are followed, but a 301, 302 or 303 in answer to what may
   * write (all but GET, HEAD, OPTIONS) fails. `"follow"` follows these as well; say it
   * to `fetch` itself, a `Request` does not tell it from the default.
   */
  redirect?: "follow" | "error" | "manual";
  signal?: AbortSignal | null;
  /**
   * What the request does, for dry runs, which send only what reads. Needed where
   * the method says something else: a search by POST reads, a GET that confirms
   * writes. Given to `fetch` itself; a `Request` does not keep it.
   */
  effect?: "read" | "write" | null;
}

interface Request extends Body {
  readonly method: string;
  readonly url: string;
  readonly headers: Headers;
  readonly redirect: "follow" | "error" | "manual";
  readonly signal: AbortSignal;
  clone(): Request;
}
declare var Request: { prototype: Request; new (input: string | URL | Request, init?: RequestInit): Request };

interface ResponseInit {
  status?: number;
  statusText?: string;
  headers?: HeadersInit;
}

interface Response extends Body {
  readonly status: number;
  readonly statusText: string;
  /** The status is 200 to 299. */
  readonly ok: boolean;
  readonly headers: Headers;
  /** The URL that answered, after redirects. */
  readonly url: string;
  readonly redirected: boolean;
  readonly type: string;
  clone(): Response;
}
declare var Response: {
  prototype: Response;
  new (body?: BodyInit | null, init?: ResponseInit): Response;
  error(): Response;
  json(data: unknown, init?: ResponseInit): Response;
  redirect(url: string | URL, status?: number): Response;
};

/**
 * Does an HTTP request through the daemon's egress. An answer of any status is
 * an answer; what throws is the lack of one, as a `HostCallError`.
 */
declare function fetch(input: string | URL | Request, init?: RequestInit): Promise<Response>;

interface URL {
  hash: string;
  host: string;
  hostname: string;
  href: string;
  readonly origin: string;
  password: string;
  pathname: string;
  port: string;
  protocol: string;
  search: string;
  readonly searchParams: URLSearchParams;
  username: string;
  toJSON(): string;
  toString(): string;
}
declare var URL: {
  prototype: URL;
  new (url: string | URL, base?: string | URL): URL;
  canParse(url: string | URL, base?: string | URL): boolean;
  parse(url: string | URL, base?: string | URL): URL | null;
};

interface URLSearchParams extends Iterable<[string, string]> {
  readonly size: number;
  append(name: string, value: string): void;
  delete(name: string, value?: string): void;
  get(name: string): string | null;
  getAll(name: string): string[];
  has(name: string, value?: string): boolean;
  set(name: string, value: string): void;
  sort(): void;
  toString(): string;
  forEach(visit: (value: string, name: string, params: URLSearchParams) => void): void;
  entries(): IterableIterator<[string, string]>;
  keys(): IterableIterator<string>;
  values(): IterableIterator<string>;
}
declare var URLSearchParams: {
  prototype: URLSearchParams;
  new (init?: string | URLSearchParams | [string, string][] | Record<string, string>): URLSearchParams;
};

type URLPatternInput =
  | string
  | {
      protocol?: string;
      username?: string;
      password?: string;
      hostname?: string;
      port?: string;
      pathname?: string;
      search?: string;
      hash?: string;
      baseURL?: string;
    };
interface URLPatternComponentResult {
  input: string;
  groups: { [name: string]: string | undefined };
}
interface URLPatternResult {
  inputs: URLPatternInput[];
  protocol: URLPatternComponentResult;
  username: URLPatternComponentResult;
  password: URLPatternComponentResult;
  hostname: URLPatternComponentResult;
  port: URLPatternComponentResult;
  pathname: URLPatternComponentResult;
  search: URLPatternComponentResult;
  hash: URLPatternComponentResult;
}
interface URLPattern {
  readonly protocol: string;
  readonly username: string;
  readonly password: string;
  readonly hostname: string;
  readonly port: string;
  readonly pathname: string;
  readonly search: string;
  readonly hash: string;
  readonly hasRegExpGroups: boolean;
  exec(input?: URLPatternInput | URL, base?: string | URL): URLPatternResult | null;
  test(input?: URLPatternInput | URL, base?: string | URL): boolean;
}
interface URLPatternOptions {
  ignoreCase?: boolean;
}
declare var URLPattern: {
  prototype: URLPattern;
  new (pattern: URLPatternInput, base: string | URL, options?: URLPatternOptions): URLPattern;
  new (pattern?: URLPatternInput, options?: URLPatternOptions): URLPattern;
};

interface TextEncoder {
  readonly encoding: "utf-8";
  encode(text?: string): Uint8Array;
  encodeInto(text: string, bytes: Uint8Array): { read: number; written: number };
}
declare var TextEncoder: { prototype: TextEncoder; new (): TextEncoder };

interface TextDecoder {
  readonly encoding: string;
  readonly fatal: boolean;
  readonly ignoreBOM: boolean;
  decode(bytes?: BufferSource, options?: { stream?: boolean }): string;
}
interface TextDecoderOptions {
  fatal?: boolean;
  ignoreBOM?: boolean;
}
declare var TextDecoder: { prototype: TextDecoder; new (label?: string, options?: TextDecoderOptions): TextDecoder };

interface TextEncoderStream {
  readonly encoding: "utf-8";
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<string>;
}
declare var TextEncoderStream: { prototype: TextEncoderStream; new (): TextEncoderStream };

interface TextDecoderStream {
  readonly encoding: string;
  readonly fatal: boolean;
  readonly ignoreBOM: boolean;
  readonly readable: ReadableStream<string>;
  readonly writable: WritableStream<BufferSource>;
}
declare var TextDecoderStream: {
  prototype: TextDecoderStream;
  new (label?: string, options?: TextDecoderOptions): TextDecoderStream;
};

type Base64Options = { alphabet?: "base64" | "base64url" };
type Base64ReadOptions = Base64Options & { lastChunkHandling?: "loose" | "strict" | "stop-before-partial" };
interface Uint8Array {
  toBase64(options?: Base64Options & { omitPadding?: boolean }): string;
  toHex(): string;
  setFromBase64(base64: string, options?: Base64ReadOptions): { read: number; written: number };
  setFromHex(hex: string): { read: number; written: number };
}
interface Uint8ArrayConstructor {
  fromBase64(base64: string, options?: Base64ReadOptions): Uint8Array;
  fromHex(hex: string): Uint8Array;
}

declare function atob(base64: string): string;
declare function btoa(latin1: string): string;

interface DOMException extends Error {
  readonly code: number;
}
declare var DOMException: {
  prototype: DOMException;
  new (message?: string, name?: string): DOMException;
};

interface AbortSignal extends EventTarget {
  readonly aborted: boolean;
  readonly reason: any;
  onabort: ((event: Event) => void) | null;
  throwIfAborted(): void;
}
declare var AbortSignal: (abstract new () => AbortSignal) & {
  readonly prototype: AbortSignal;
  abort(reason?: unknown): AbortSignal;
  any(signals: Iterable<AbortSignal>): AbortSignal;
  timeout(milliseconds: number): AbortSignal;
};

interface AbortController {
  readonly signal: AbortSignal;
  abort(reason?: unknown): void;
}
declare var AbortController: { prototype: AbortController; new (): AbortController };

declare function setTimeout<A extends unknown[]>(
  callback: (...values: A) => void,
  milliseconds?: number,
  ...values: A
): number;
declare function clearTimeout(id?: number): void;
declare function setInterval<A extends unknown[]>(
  callback: (...values: A) => void,
  milliseconds?: number,
  ...values: A
): number;
declare function clearInterval(id?: number): void;
declare function queueMicrotask(callback: () => void): void;
declare function structuredClone<T>(value: T): T;

interface CryptoKey {
  readonly algorithm: any;
  readonly extractable: boolean;
  readonly type: "private" | "public" | "secret";
  readonly usages: string[];
}
declare var CryptoKey: (abstract new () => CryptoKey) & { readonly prototype: CryptoKey };
/** What a secret can sign with; `encoding` says how its text stands for bytes. */
type SecretKeyAlgorithm =
  | {
      name: "HMAC";
      hash: "SHA-1" | "SHA-256" | "SHA-384" | "SHA-512";
      encoding?: "utf8" | "base64" | "hex";
    }
  | { name: "RSASSA-PKCS1-v1_5" | "RSA-PSS"; hash: "SHA-256" | "SHA-384" | "SHA-512" }
  | { name: "ECDSA"; namedCurve: "P-256" | "P-384" | "P-521" }
  | { name: "Ed25519" }
  | "Ed25519";
/** Web Cryptography; the parameters of algorithms are not spelled out. */
interface SubtleCrypto {
  digest(algorithm: string | { name: string }, data: BufferSource): Promise<ArrayBuffer>;
  sign(algorithm: any, key: CryptoKey, data: BufferSource): Promise<ArrayBuffer>;
  verify(algorithm: any, key: CryptoKey, signature: BufferSource, data: BufferSource): Promise<boolean>;
  encrypt(algorithm: any, key: CryptoKey, data: BufferSource): Promise<ArrayBuffer>;
  decrypt(algorithm: any, key: CryptoKey, data: BufferSource): Promise<ArrayBuffer>;
  /**
   * With the handle of a secret (for HMAC also in more text): a key that signs
   * and does nothing else. The daemon signs, the key never comes here. `raw`
   * for HMAC, `pkcs8` for the others.
   */
  importKey(
    format: "raw" | "pkcs8",
    secret: import("provisiond").SecretHandle | `${string}__secret_${string}`,
    algorithm: SecretKeyAlgorithm,
    extractable: false,
    usages: ["sign"] | string[],
  ): Promise<CryptoKey>;
  importKey(format: string, data: any, algorithm: any, extractable: boolean, usages: string[]): Promise<CryptoKey>;
  exportKey(format: string, key: CryptoKey): Promise<any>;
  generateKey(algorithm: any, extractable: boolean, usages: string[]): Promise<any>;
  wrapKey(format: string, key: CryptoKey, wrappingKey: CryptoKey, wrapAlgorithm: any): Promise<ArrayBuffer>;
  unwrapKey(
    format: string,
    wrapped: BufferSource,
    unwrappingKey: CryptoKey,
    unwrapAlgorithm: any,
    algorithm: any,
    extractable: boolean,
    usages: string[],
  ): Promise<CryptoKey>;
  deriveBits(algorithm: any, key: CryptoKey, length?: number | null): Promise<ArrayBuffer>;
  deriveKey(algorithm: any, key: CryptoKey, derived: any, extractable: boolean, usages: string[]): Promise<CryptoKey>;
}
declare var SubtleCrypto: (abstract new () => SubtleCrypto) & { readonly prototype: SubtleCrypto };
interface Crypto {
  readonly subtle: SubtleCrypto;
  getRandomValues<T extends ArrayBufferView>(array: T): T;
  randomUUID(): string;
}
declare var Crypto: (abstract new () => Crypto) & { readonly prototype: Crypto };
declare var crypto: Crypto;

/** Time since the host began, in milliseconds; rises steadily. */
declare var performance: { now(): number; readonly timeOrigin: number };

/** Lines go to the log of the run: `debug`, `info`, `warn` or `error`. */
interface Console {
  assert(condition?: boolean, ...values: unknown[]): void;
  clear(): void;
  count(label?: string): void;
  countReset(label?: string): void;
  debug(...values: unknown[]): void;
  dir(value?: unknown): void;
  dirxml(...values: unknown[]): void;
  error(...values: unknown[]): void;
  group(...values: unknown[]): void;
  groupCollapsed(...values: unknown[]): void;
  groupEnd(): void;
  info(...values: unknown[]): void;
  log(...values: unknown[]): void;
  table(value?: unknown): void;
  time(label?: string): void;
  timeEnd(label?: string): void;
  timeLog(label?: string, ...values: unknown[]): void;
  trace(...values: unknown[]): void;
  warn(...values: unknown[]): void;
}
declare var console: Console;

/** CommonJS: `module.exports = async (ctx) => …`. */
declare function require(name: "provisiond"): { readonly log: typeof import("provisiond").log };
