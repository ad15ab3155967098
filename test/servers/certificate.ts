import { execFileSync } from 'node:child_process';

/** PEM. */
export interface Certificate {
  key: string;
  cert: string;
}

/** For 127.0.0.1, signed by itself. Node reads certificates and makes none: null, after a warning, where there is no openssl. */
export function makeCertificate(forWhat: string): Certificate | null {
  try {
    const made = execFileSync('openssl', [
      'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', '-', '-out', '-', '-days', '2', '-subj', '/CN=sheaf-test', '-addext', 'subjectAltName=IP:127.0.0.1',
    ], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    const start = made.indexOf('-----BEGIN CERTIFICATE');
    return { key: made.slice(0, start), cert: made.slice(start) };
  } catch (error) {
    if (process.env['SHEAF_REQUIRE_ALL'] === '1') throw error;
    console.warn(`Not run, ${forWhat}: there is no openssl on PATH to make a certificate with.`);
    return null;
  }
}
