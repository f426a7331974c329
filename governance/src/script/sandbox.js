// What keeps a script inside: native functions are charged for, what reaches out is taken
// away, and nothing stays from one call to the next. `host` counts the steps.
(function (host) {
  'use strict';

  const { apply, ownKeys, getPrototypeOf, deleteProperty } = Reflect;
  const { defineProperty, freeze, getOwnPropertyDescriptor, isExtensible } = Object;
  const { isArray } = Array;
  const { max } = Math;
  const globals = globalThis;
  const outermost = getPrototypeOf(globals);

  // Longer lists are refused by functions that walk them without looking at the clock.
  const LONGEST = 100000;
  // What one use of a pattern costs: what it backtracks over is seen by no limit before it
  // is ten thousand steps.
  const PATTERN = 200;
  let spent = 0;
  let names = new Set();

  // Native functions that walk a list or a text poll no limit: they are charged for.
  function charge(cost) {
    spent += cost;
    if (spent >= 1000) {
      const due = spent;
      spent = 0;
      host.charge(due);
    }
  }

  function hide(holder, name, value) {
    defineProperty(holder, name, { value, writable: true, enumerable: false, configurable: true });
  }

  function listCost(list, others) {
    let cost = 1;
    for (const one of [list, ...others]) {
      if ((typeof one !== 'object' && typeof one !== 'string') || one === null) {
        continue;
      }
      const length = getOwnPropertyDescriptor(one, 'length')?.value;
      if (length > LONGEST || (one === list && typeof length !== 'number')) {
        throw new RangeError(`only lists of at most ${LONGEST} elements can be walked`);
      }
      if (!isArray(one) && one !== list && one[Symbol.isConcatSpreadable] !== undefined) {
        throw new TypeError('only arrays can be spread');
      }
      cost += isArray(one) || one === list ? length / 8 : 0;
    }
    return cost;
  }

  function guardLists() {
    const natives = Array.prototype;
    for (const name of ownKeys(natives)) {
      const native = natives[name];
      if (typeof native !== 'function' || name === 'constructor' || typeof name !== 'string') {
        continue;
      }
      const guarded = {
        [name](...others) {
          charge(listCost(this, others));
          return apply(native, this, others);
        },
      }[name];
      hide(natives, name, guarded);
    }
    // They walk lists inside lists.
    delete natives.flat;
    delete natives.flatMap;
  }

  function guardTexts() {
    const natives = String.prototype;
    for (const name of ownKeys(natives)) {
      const native = natives[name];
      // The engine itself puts templates together with concat.
      if (typeof native !== 'function' || typeof name !== 'string' || name === 'concat'
        || name === 'constructor' || name === 'toString' || name === 'valueOf') {
        continue;
      }
      const guarded = {
        [name](...others) {
          const text = `${this}`;
          let [first] = others;
          const isPattern = first instanceof RegExp;
          if (typeof first === 'object' && first !== null && !isPattern) {
            first = others[0] = `${first}`;
          }
          const times = isPattern ? 64 : typeof first === 'string' ? max(1, first.length) : 1;
          charge((isPattern ? PATTERN : 1) + (text.length * times) / 64);
          return apply(native, text, others);
        },
      }[name];
      hide(natives, name, guarded);
    }
    for (const name of ['exec', 'test']) {
      const native = RegExp.prototype[name];
      const guarded = {
        [name](text) {
          const whole = `${text}`;
          charge(PATTERN + whole.length / 8);
          return apply(native, this, [whole]);
        },
      }[name];
      hide(RegExp.prototype, name, guarded);
    }
    // A pattern that is made anew costs what none of its uses does.
    const Pattern = RegExp;
    const Guarded = function (pattern, flags) {
      charge(1000);
      return new Pattern(pattern, flags);
    };
    defineProperty(Guarded, 'name', { value: 'RegExp' });
    Guarded.prototype = Pattern.prototype;
    hide(Pattern.prototype, 'constructor', Guarded);
    hide(globals, 'RegExp', Guarded);
    delete Pattern.prototype.compile;
    for (const name of ['parse', 'stringify']) {
      const native = JSON[name];
      hide(JSON, name, { [name]: (...values) => (charge(1000), apply(native, JSON, values)) }[name]);
    }
  }

  // Neither time, nor chance, nor code that was never looked at.
  function remove() {
    for (const type of [function () {}, function* () {}, async function () {},
      async function* () {}]) {
      hide(getPrototypeOf(type), 'constructor', undefined);
    }
    delete Math.random;
    for (const name of ['eval', 'Function', 'BigInt', 'Promise', 'Reflect', 'Proxy', 'Date',
      'WeakRef', 'FinalizationRegistry', 'queueMicrotask', 'performance', 'Atomics',
      'SharedArrayBuffer', 'gc', 'navigator', 'print', 'escape', 'unescape']) {
      delete globals[name];
    }
  }

  // No call may leave anything behind for the next one.
  function harden(more) {
    const open = [globals, ...more, function* () {},
      async function () {}, async function* () {}, [][Symbol.iterator](), ''[Symbol.iterator](),
      new Map()[Symbol.iterator](), new Set()[Symbol.iterator](), (function* () {})(),
      /x/[Symbol.matchAll]('')];
    const seen = new Set(open);
    while (open.length > 0) {
      const one = open.pop();
      const next = [getPrototypeOf(one)];
      for (const key of ownKeys(one)) {
        const { value, get, set } = getOwnPropertyDescriptor(one, key);
        next.push(value, get, set);
      }
      for (const value of next) {
        if ((typeof value === 'object' || typeof value === 'function') && value !== null
          && !seen.has(value)) {
          seen.add(value);
          open.push(value);
        }
      }
      if (one !== globals) {
        freeze(one);
      }
    }
    for (const key of ownKeys(globals)) {
      defineProperty(globals, key, { writable: false, configurable: false });
    }
  }

  // Takes away what a call has put among the globals; false where that cannot be done.
  function sweep() {
    const now = ownKeys(globals);
    let clean = isExtensible(globals) && getPrototypeOf(globals) === outermost;
    if (now.length > names.size) {
      for (const key of now) {
        if (!names.has(key)) {
          clean = deleteProperty(globals, key) && clean;
        }
      }
    }
    return clean;
  }

  return {
    charge,
    hide,
    sweep,
    guard() {
      guardLists();
      guardTexts();
      remove();
    },
    // The last: from here on nothing changes any more.
    close(more) {
      harden(more);
      names = new Set(ownKeys(globals));
    },
    begin() {
      spent = 0;
    },
  };
});
