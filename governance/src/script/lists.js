// Java's lists and arrays, as far as routing scripts use them, and what they throw.
// `charge` counts the steps of what walks a list.
(function (charge) {
  'use strict';

  const { isArray } = Array;
  const { trunc } = Math;

  class JavaException extends Error {
    #kind;
    constructor(kind, message) {
      super(`${kind}: ${message}`);
      this.#kind = kind;
    }
    static is(value) {
      return typeof value === 'object' && value !== null && #kind in value;
    }
    getMessage() {
      return this.message;
    }
  }

  function outOfBounds(index, size) {
    return new JavaException(
      'java.lang.IndexOutOfBoundsException', `index ${index} of ${size}`);
  }

  class ArrayList extends Array {
    static get [Symbol.species]() {
      return Array;
    }
    constructor(from) {
      super();
      if (typeof from === 'number') {
        if (from < 0) {
          throw new JavaException('java.lang.IllegalArgumentException', `capacity ${from}`);
        }
      } else if (from !== undefined) {
        this.addAll(from);
      }
    }
    #place(index) {
      const place = trunc(+index);
      if (!(place >= 0 && place < this.length)) {
        throw outOfBounds(index, this.length);
      }
      return place;
    }
    #take(place) {
      const taken = this[place];
      charge(this.length);
      for (let at = place + 1; at < this.length; at++) {
        this[at - 1] = this[at];
      }
      this.length--;
      return taken;
    }
    #keep(wanted) {
      const before = this.length;
      charge(before);
      let kept = 0;
      for (let at = 0; at < before; at++) {
        if (wanted(this[at])) {
          this[kept++] = this[at];
        }
      }
      this.length = kept;
      return kept < before;
    }
    add(index, element) {
      if (arguments.length < 2) {
        this[this.length] = index;
        return true;
      }
      const place = trunc(+index);
      if (!(place >= 0 && place <= this.length)) {
        throw outOfBounds(index, this.length);
      }
      charge(this.length);
      for (let at = this.length; at > place; at--) {
        this[at] = this[at - 1];
      }
      this[place] = element;
    }
    addAll(more) {
      if (!isArray(more)) {
        throw more == null
          ? new JavaException('java.lang.NullPointerException', 'addAll')
          : new TypeError('addAll takes a list');
      }
      const size = more.length;
      for (let at = 0; at < size; at++) {
        this[this.length] = more[at];
      }
      return size > 0;
    }
    get(index) {
      return this[this.#place(index)];
    }
    set(index, element) {
      const place = this.#place(index);
      const before = this[place];
      this[place] = element;
      return before;
    }
    size() {
      return this.length;
    }
    isEmpty() {
      return this.length === 0;
    }
    contains(element) {
      return this.indexOf(element) >= 0;
    }
    remove(what) {
      if (typeof what === 'number') {
        return this.#take(this.#place(what));
      }
      const place = this.indexOf(what);
      if (place >= 0) {
        this.#take(place);
      }
      return place >= 0;
    }
    removeAll(others) {
      return this.#keep((one) => others.indexOf(one) < 0);
    }
    retainAll(others) {
      return this.#keep((one) => others.indexOf(one) >= 0);
    }
    removeIf(unwanted) {
      return this.#keep((one) => !unwanted(one));
    }
    clear() {
      this.length = 0;
    }
    subList(from, to) {
      const part = new ArrayList();
      if (from < 0 || to > this.length || from > to) {
        throw outOfBounds(`${from} to ${to}`, this.length);
      }
      for (let at = from; at < to; at++) {
        part[part.length] = this[at];
      }
      return part;
    }
    toArray() {
      const copy = new JavaArray();
      for (let at = 0; at < this.length; at++) {
        copy[at] = this[at];
      }
      return copy;
    }
    iterator() {
      const list = this;
      let next = 0;
      return {
        hasNext: () => next < list.length,
        next: () => {
          if (next >= list.length) {
            throw new JavaException('java.util.NoSuchElementException', 'next');
          }
          return list[next++];
        },
        remove: () => {
          list.#take(--next);
        },
      };
    }
  }

  class JavaArray extends Array {
    static get [Symbol.species]() {
      return Array;
    }
  }

  return { JavaException, ArrayList, JavaArray };
});
