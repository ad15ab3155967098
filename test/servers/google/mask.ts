/** `fields` of Google's APIs: `a,b(c,d),e/f`. */

interface Mask { [field: string]: Mask | true }

export function masked(answer: object, fields: string | null): object {
  return fields === null ? answer : (pick(answer, parse(fields)) as object);
}

function parse(text: string): Mask {
  let at = 0;
  const list = (): Mask => {
    const mask: Mask = {};
    for (;;) {
      const name = /^[\w*]+/.exec(text.slice(at))?.[0];
      if (!name) throw new Error(`Invalid field selection at ${at} of ${text}`);
      at += name.length;
      mask[name] = text[at] === '(' ? nested(')') : text[at] === '/' || text[at] === '.' ? nested(null) : true;
      if (text[at] !== ',') return mask;
      at++;
    }
  };
  const nested = (end: ')' | null): Mask => {
    at++;
    if (end === null) {
      const name = /^[\w*]+/.exec(text.slice(at))?.[0] ?? '';
      at += name.length;
      return { [name]: text[at] === '(' ? nested(')') : text[at] === '/' || text[at] === '.' ? nested(null) : true };
    }
    const mask = list();
    at++;
    return mask;
  };
  return list();
}

function pick(value: unknown, mask: Mask | true): unknown {
  if (mask === true || value === null || typeof value !== 'object') return value;
  if (Array.isArray(value)) return value.map((one: unknown) => pick(one, mask));
  return Object.fromEntries(Object.entries(value).filter(([name]) => name in mask).map(([name, inner]) => [name, pick(inner, mask[name]!)]));
}
