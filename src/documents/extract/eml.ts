/** E-mail (RFC 5322), by postal-mime: headers, text, and the attachments that are documents. */
import PostalMime, { type Address, type Attachment } from 'postal-mime';
import { SheafError } from '../../contracts/errors.ts';
import { putHtml } from './html.ts';
import { allBytes, damaged, type Reader } from './input.ts';
import { memoryFile } from './office-password.ts';
import { putText } from './text.ts';
import { isoDate, TextFull } from './writer.ts';
import { readInto } from './index.ts';

const MOST_ATTACHMENTS = 200;
const MAX_NESTING = 100;

export const readEml: Reader = async (input, out) => {
  const bytes = await allBytes(input.file);
  const email = await PostalMime.parse(bytes, { attachmentEncoding: 'arraybuffer', maxNestingDepth: MAX_NESTING, forceRfc822Attachments: true }).catch((error: unknown) => {
    throw damaged('its parts cannot be told apart', error);
  });
  out.describe({ title: email.subject, author: email.from && people([email.from]), created: isoDate(email.date) });
  if (email.subject) out.block('heading', email.subject, { level: 1 });
  const headers = [['From', email.from && people([email.from])], ['To', people(email.to)], ['Cc', people(email.cc)], ['Date', email.date]] as const;
  out.block('paragraph', headers.flatMap(([name, value]) => (value ? [`${name}: ${value}`] : [])).join('\n'));
  if (email.html) await putHtml(email.html, out, { findMain: false });
  else if (email.text) putText(email.text, out);

  for (const attachment of email.attachments.slice(0, MOST_ATTACHMENTS)) {
    if (isInlinePicture(attachment)) continue;
    const name = attachment.filename ?? (attachment.mimeType === 'message/rfc822' ? 'message.eml' : 'attachment');
    out.block('heading', `Attachment: ${name}`, { level: 2 });
    try {
      if (input.depth >= input.limits.depth) throw new SheafError('unsupported_type', `It is nested more than ${input.limits.depth} deep`);
      await readInto({ ...input, file: memoryFile(Buffer.from(attachment.content as ArrayBuffer), name), depth: input.depth + 1 }, out);
    } catch (error) {
      if (error instanceof TextFull) throw error;
      // An attachment that is no document is no fault of the message.
      const unsupported = error instanceof SheafError && error.code === 'unsupported_type';
      out.warn(unsupported ? 'attachment_not_read' : 'attachment_failed', `The attachment "${name.slice(0, 100)}" was not read: ${error instanceof SheafError ? error.message : 'it is damaged'}`, { missing: !unsupported });
    }
  }
  // Pages are those of attachments, and there may be several.
  [out.pages, out.page] = [null, null];
  if (email.attachments.length > MOST_ATTACHMENTS) out.warn('attachment_not_read', `Only the first ${MOST_ATTACHMENTS} attachments were read`, { missing: true });
};

const people = (addresses: Address[] | undefined): string =>
  (addresses ?? []).flatMap(({ name, address, group }) => (group ? [`${name}: ${people(group)}`] : [name && address ? `${name} <${address}>` : name || address || ''])).filter(Boolean).join(', ');

const isInlinePicture = ({ mimeType, disposition, related }: Attachment): boolean => mimeType.startsWith('image/') && (disposition === 'inline' || related === true);
