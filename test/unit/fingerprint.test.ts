import { expect, test } from 'vitest';
import { fingerprintOf } from '../../src/domain/fingerprint.ts';

const of = (message: string, code = 'service_refused') => fingerprintOf({ code, message });

test.each([
  ['row 17 has 3 images', 'Row 2,001 has 0.5 images'],
  ['The sheet has no column "Titel"', 'The sheet has no column "Preis"'],
  ['GET https://a.example/x?y=1 answered 404', 'GET http://b.example/z answered 404'],
  ['request 0b9f3a52-9c1e-4f4e-8a55-0d3f6f6b2a11 failed', 'request d6a1c1de-0000-4f4e-8a55-0d3f6f6b2a11  failed'],
  ['no such job_01m8b0yyyqnyw0xr5ss6n6akkq', 'no such job_01m8b0yyyqnyw0xr5ss6n6bbbb'],
])('%s and %s have one cause', (one, other) => expect(of(one)).toBe(of(other)));

test('another code, or other words, is another cause', () => {
  expect(of('busy', 'a')).not.toBe(of('busy', 'b'));
  expect(of('no such style')).not.toBe(of('no such voice'));
  expect(of("it can't")).not.toBe(of("it won't"));
});
