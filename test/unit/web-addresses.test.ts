import { describe, expect, test } from 'vitest';
import { isPublic, readAllowedHosts } from '../../src/web/addresses.ts';
import { checkedUrl } from '../../src/web/guard.ts';

const nothing = readAllowedHosts(undefined);

const INSIDE = [
  // As they are
  '127.0.0.1', '127.8.9.10', '0.0.0.0', '10.0.0.1', '172.16.0.1', '172.31.255.255', '192.168.1.1', '169.254.169.254', '100.64.0.1', '100.100.100.200', '168.63.129.16',
  '192.0.0.192', '192.0.2.1', '192.88.99.1', '198.18.0.1', '198.51.100.1', '203.0.113.1', '224.0.0.1', '239.255.255.255', '240.0.0.1', '255.255.255.255',
  // Other notations of the same
  '127.1', '127.0.1', '2130706433', '0x7f000001', '0x7f.0.0.1', '0x7F.1', '017700000001', '0177.0.0.1', '0', '0x0', '2852039166', '0xa9fea9fe', '0251.0376.0251.0376', '3232235777',
  '１２７.０.０.１', '①②⑦.⓪.⓪.①', '127。0。0。1', '127.0.0.1.', '%31%32%37.0.0.1',
  // IPv6, and IPv4 inside of it
  '[::]', '[::1]', '[0:0:0:0:0:0:0:1]', '[::ffff:127.0.0.1]', '[::ffff:7f00:1]', '[::ffff:a9fe:a9fe]', '[::127.0.0.1]', '[::ffff:0:127.0.0.1]',
  '[64:ff9b::127.0.0.1]', '[64:ff9b::a9fe:a9fe]', '[64:ff9b:1::1]', '[2002:7f00:1::]', '[2002:a9fe:a9fe::1]', '[2001:0:7f00:1::1]',
  '[fe80::1]', '[fec0::1]', '[fc00::1]', '[fd00:ec2::254]', '[ff02::1]', '[100::1]', '[2001:db8::1]', '[3fff::1]', '[5f00::1]', '[4000::1]',
];

describe('addresses that lead inside', () => {
  test.each(INSIDE)('%s is not called', (host) => {
    for (const url of [`http://${host}/`, `https://${host}:8443/latest/meta-data`]) expect(() => checkedUrl(url, nothing)).toThrow(expect.objectContaining({ code: 'url_not_allowed' }));
  });

  test.each(['93.184.216.34', '8.8.8.8', '172.32.0.1', '100.128.0.1', '[2606:4700:4700::1111]', '[::ffff:8.8.8.8]', '[64:ff9b::8.8.8.8]', 'example.com', 'xn--e1afmkfd.xn--p1ai', 'münchen.example'])('%s may be', (host) => {
    expect(checkedUrl(`http://${host}/`, nothing).pathname).toBe('/');
  });

  test('of an address in DNS answers, too', () => {
    expect(['fe80::1%eth0', '::ffff:10.0.0.1', '2606:4700:4700::1111'].map(isPublic)).toEqual([false, false, true]);
  });
});

test.each(['ftp://example.com/', 'file:///etc/passwd', 'javascript:alert(1)', 'gopher://example.com', 'example.com', '', 'http://', 'http://user@example.com/', 'https://a:b@example.com/', 'http://[::1', 'http://1.2.3.4.5/', 'http://256.1.1.1/'])(
  '"%s" is no address to call', (url) => expect(() => checkedUrl(url, nothing)).toThrow(expect.objectContaining({ code: 'url_invalid' })));

test('an error says nothing of the address', () => {
  for (const url of ['http://user:geheim@example.com/', 'http://10.11.12.13/', 'gopher://geheim']) {
    expect(() => checkedUrl(url, nothing)).toThrow(expect.not.objectContaining({ message: expect.stringMatching(/geheim|10\.11/) as string }));
  }
});

describe('what the operator allows', () => {
  const allowed = readAllowedHosts('api.internal:8080, *.svc.local , 10.1.0.0/16:443,127.0.0.1:3000, [::1]:3000, fd00::/8, [fd12::1], 192.168.7.7');

  test('is names, on their port, with those below where a star says so', () => {
    expect([['api.internal', 8080], ['API.internal.', 8080], ['a.b.svc.local', 1], ['api.internal', 80], ['svc.local', 1], ['evilsvc.local', 1], ['x.api.internal', 8080]].map(([host, port]) => allowed.name(String(host), Number(port))))
      .toEqual([true, true, true, false, false, false, false]);
  });

  test('is addresses and ranges, on their port, however they are written', () => {
    expect(['https://10.1.2.3/', 'http://127.0.0.1:3000/', 'http://2130706433:3000/', 'http://[::1]:3000/', 'http://[::ffff:127.0.0.1]:3000/', 'http://[fd99::1]/', 'http://192.168.7.7:99/'].map((url) => checkedUrl(url, allowed).protocol)).toHaveLength(7);
    for (const url of ['http://10.1.2.3/', 'https://10.2.0.1/', 'http://127.0.0.1/', 'http://127.0.0.2:3000/', 'http://[::1]/', 'http://[::2]:3000/', 'http://192.168.7.8/']) {
      expect(() => checkedUrl(url, allowed), url).toThrow(expect.objectContaining({ code: 'url_not_allowed' }));
    }
  });

  test.each(['http://x', 'a b', '10.0.0.0/33', '::1/129', 'x:0', 'x:99999', '127.1', '2130706433', '0x7f000001', '[x]', '*', '*.', 'a..b', '[::1', 'user@host'])('"%s" is no entry, and named', (entry) => {
    expect(() => readAllowedHosts(`ok.example,${entry}`)).toThrow(entry);
  });
});
