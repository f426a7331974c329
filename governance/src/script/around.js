// What a script finds around it: Dubbo's and Java's objects as far as routing scripts
// use them, over plain data. `host` answers questions about the call; `java` asks for
// Java's own strictness. Nothing here keeps anything from one call to the next.
(function (host, java, sandbox, lists) {
  'use strict';

  const { apply, ownKeys } = Reflect;
  const { defineProperty, getOwnPropertyDescriptor } = Object;
  const { isArray } = Array;
  const { trunc } = Math;
  const { test } = RegExp.prototype;
  const globals = globalThis;
  const evaluate = globals.eval;
  const { hide } = sandbox;
  const { JavaException, ArrayList, JavaArray } = lists;
  let facts = [];

  class JavaClass {
    #names;
    constructor(full, simple) {
      this.#names = [full, simple];
    }
    getName() {
      return this.#names[0];
    }
    getSimpleName() {
      return this.#names[1];
    }
    toString() {
      return `class ${this.#names[0]}`;
    }
  }

  class JavaObject {
    #class;
    constructor(name) {
      this.#class = new JavaClass(name, name.slice(name.lastIndexOf('.') + 1));
    }
    getClass() {
      return this.#class;
    }
  }

  class URL {
    #index;
    constructor(index) {
      this.#index = index;
    }
    getProtocol() {
      return host.part(this.#index, 'protocol');
    }
    getHost() {
      return host.part(this.#index, 'host');
    }
    getIp() {
      return host.part(this.#index, 'host');
    }
    getPort() {
      return +host.part(this.#index, 'port');
    }
    getAddress() {
      return host.part(this.#index, 'address');
    }
    getPath() {
      return host.part(this.#index, 'path');
    }
    getParameter(key, fallback) {
      return typed(host.parameter(this.#index, `${key}`), fallback);
    }
    getMethodParameter(method, key, fallback) {
      const own = host.parameter(this.#index, `${method}.${key}`);
      return own === null || own === '' ? this.getParameter(key, fallback) : typed(own, fallback);
    }
    hasParameter(key) {
      const value = host.parameter(this.#index, `${key}`);
      return value !== null && value !== '';
    }
    getParameters() {
      const all = Object.create(maps);
      for (const [key, value] of host.parameters(this.#index)) {
        all[key] = value;
      }
      return all;
    }
    getServiceInterface() {
      return this.getParameter('interface', this.getPath());
    }
    getGroup() {
      return this.getParameter('group');
    }
    getVersion() {
      return this.getParameter('version');
    }
    getApplication() {
      return this.getParameter('application');
    }
    getRemoteApplication() {
      return this.getParameter('remote.application');
    }
    getSide() {
      return this.getParameter('side');
    }
  }

  // The type of the value where nothing is set says which getParameter is meant.
  function typed(value, fallback) {
    if (fallback === undefined) {
      return value;
    }
    if (value === null || value === '') {
      return fallback;
    }
    switch (typeof fallback) {
      case 'boolean':
        return value.toLowerCase() === 'true';
      case 'number': {
        const whole = apply(test, /^[+-]?\d{1,10}$/, [value]);
        if (!whole && (fallback === trunc(fallback) || +value !== +value)) {
          throw new JavaException('java.lang.NumberFormatException', `"${value}"`);
        }
        return +value;
      }
      default:
        return value;
    }
  }

  class Invoker {
    #index;
    #url;
    constructor(index) {
      this.#index = index;
    }
    static indexOf(value) {
      return typeof value === 'object' && value !== null && #index in value ? value.#index : -1;
    }
    getUrl() {
      return (this.#url ??= new URL(this.#index));
    }
    getInterface() {
      return new JavaClass(facts[1], facts[1].slice(facts[1].lastIndexOf('.') + 1));
    }
    isAvailable() {
      return true;
    }
    toString() {
      return host.part(this.#index, 'address');
    }
  }

  class Attachments {
    getAttachment(name, fallback) {
      const value = host.attachment(`${name}`);
      return value === null && fallback !== undefined ? fallback : value;
    }
    getObjectAttachment(name, fallback) {
      return this.getAttachment(name, fallback);
    }
    getAttachments() {
      return attachments;
    }
    getObjectAttachments() {
      return attachments;
    }
  }

  // What Java's maps answer, beside having their keys as properties in Nashorn.
  const maps = Object.create(null, {
    get: {
      value(key) {
        return this.containsKey(key) ? this[key] : null;
      },
    },
    containsKey: {
      value(key) {
        return getOwnPropertyDescriptor(this, key) !== undefined;
      },
    },
  });

  const attachments = {
    get: (name) => host.attachment(`${name}`),
    containsKey: (name) => host.attachment(`${name}`) !== null,
  };

  class Invocation extends Attachments {
    getMethodName() {
      return facts[0];
    }
    getServiceName() {
      return facts[1];
    }
    getTargetServiceUniqueName() {
      return facts[2];
    }
    getArguments() {
      const values = new JavaArray();
      for (const value of host.arguments()) {
        values[values.length] = isArray(value) ? new JavaObject(value[0]) : value;
      }
      return values;
    }
    getParameterTypes() {
      const classes = new JavaArray();
      for (const names of host.types()) {
        classes[classes.length] = new JavaClass(names[0], names[1]);
      }
      return classes;
    }
  }

  const texts = {
    equals(other) {
      return typeof other === 'string' && `${this}` === other;
    },
    equalsIgnoreCase(other) {
      return typeof other === 'string' && this.toLowerCase() === other.toLowerCase();
    },
    contains(part) {
      return this.includes(`${part}`);
    },
    isEmpty() {
      return this.length === 0;
    },
    matches(pattern) {
      return new RegExp(`^(?:${pattern})$`).test(this);
    },
    compareTo(other) {
      const length = this.length < other.length ? this.length : other.length;
      for (let at = 0; at < length; at++) {
        if (this[at] !== other[at]) {
          return this.charCodeAt(at) - other.charCodeAt(at);
        }
      }
      return this.length - other.length;
    },
    hashCode() {
      let hash = 0;
      for (let at = 0; at < this.length; at++) {
        hash = (hash * 31 + this.charCodeAt(at)) | 0;
      }
      return hash;
    },
  };

  const known = { 'java.util.ArrayList': ArrayList, 'java.util.LinkedList': ArrayList };
  const invocation = new Invocation();
  const context = new Attachments();

  // A method without arguments is a property, too, as Nashorn has it.
  function beans(type) {
    for (const name of ownKeys(type.prototype)) {
      if (typeof name !== 'string') {
        continue;
      }
      const method = getOwnPropertyDescriptor(type.prototype, name).value;
      const match = /^(?:get|is)([A-Z])(.*)$/.exec(name);
      if (match && method.length === 0) {
        defineProperty(type.prototype, match[1].toLowerCase() + match[2], { get: method });
      }
    }
  }

  for (const type of [URL, Invoker, Attachments, Invocation, JavaClass, JavaObject]) {
    beans(type);
  }
  if (java) {
    const own = ownKeys(ArrayList.prototype).concat(['forEach', 'indexOf', 'lastIndexOf', 'sort']);
    for (const name of ownKeys(Array.prototype)) {
      if (typeof name === 'string' && name !== 'length' && !own.includes(name)) {
        hide(ArrayList.prototype, name, undefined);
      }
    }
  }
  sandbox.guard();
  for (const name of ownKeys(texts)) {
    hide(String.prototype, name, texts[name]);
  }
  hide(globals, 'java', { util: { ArrayList, LinkedList: ArrayList } });
  hide(globals, 'print', () => undefined);
  hide(globals, 'Java', {
    type(name) {
      if (known[name] === undefined) {
        throw new JavaException('java.lang.ClassNotFoundException', name);
      }
      return known[name];
    },
    to(list) {
      const copy = new JavaArray();
      for (let at = 0; at < list.length; at++) {
        copy[at] = list[at];
      }
      return copy;
    },
    from(list) {
      const copy = [];
      for (let at = 0; at < list.length; at++) {
        copy[at] = list[at];
      }
      return copy;
    },
  });
  sandbox.close([JavaException, ArrayList, JavaArray, JavaClass, JavaObject, URL, maps, Invoker,
    Invocation, Attachments, attachments, invocation, context]);

  // The indexes of the invokers that a script answered with (ScriptStateRouter.getRoutedInvokers).
  function select(result) {
    const isJava = result instanceof ArrayList || result instanceof JavaArray;
    if (!(java ? isJava : isArray(result))) {
      throw result === null || result === undefined
        ? new JavaException('java.lang.NullPointerException', `the script returns ${result}`)
        : new JavaException('java.lang.ClassCastException',
          `the script returns ${isArray(result) ? 'a JavaScript array' : typeof result}, not a list`);
    }
    const indexes = [];
    for (let at = 0; at < result.length; at++) {
      const index = Invoker.indexOf(result[at]);
      if (index >= 0) {
        indexes[indexes.length] = index;
      } else if (java && result instanceof JavaArray && result[at] !== null) {
        throw new JavaException('java.lang.ClassCastException', 'not an invoker');
      }
    }
    return indexes;
  }

  return {
    // An expression, as nearly every script is one, becomes a function once; other texts
    // are evaluated each time, for the value of their last statement. Lines stay as they are.
    compile(source) {
      let end = source.length;
      while (end > 0 && (source[end - 1] === ';' || source[end - 1].trim() === '')) {
        end--;
      }
      const expression = source.slice(0, end);
      try {
        return evaluate(
          `(function (invokers, invocation, context) { return (${expression}\n) })`);
      } catch {
        const direct = evaluate(
          '(function (invokers, invocation, context, source, eval) { return eval(source) })');
        const statements = `eval = undefined; ${source}`;
        return (list, call, around) => direct(list, call, around, statements, evaluate);
      }
    },
    run(program, indexes, about) {
      sandbox.begin();
      facts = about;
      const list = new ArrayList();
      for (const index of indexes) {
        list[list.length] = new Invoker(index);
      }
      try {
        return select(program(list, invocation, context));
      } finally {
        if (!sandbox.sweep()) {
          host.spoil();
        }
      }
    },
    isJava: JavaException.is,
  };
});
