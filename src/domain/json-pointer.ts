/** JSON pointers (RFC 6901): `/data/0/url`. */
import type { Json } from '../contracts/row.ts';

export const JSON_POINTER = /^(\/([^~/]|~[01])*)*$/;

/** Undefined: there is nothing there. */
export function at(value: Json, pointer: string): Json | undefined {
  let found: Json | undefined = value;
  for (const part of pointer.split('/').slice(1)) {
    const name = part.replaceAll('~1', '/').replaceAll('~0', '~');
    if (Array.isArray(found)) found = /^(0|[1-9]\d*)$/.test(name) ? found[Number(name)] : undefined;
    else if (found !== null && typeof found === 'object') found = Object.hasOwn(found, name) ? found[name] : undefined;
    else return undefined;
  }
  return found;
}
