/** Lists, page by page. */

export interface Listed<T> {
  items: T[];
  /** Opaque; null at the end. */
  nextCursor: string | null;
}

export interface ListPage {
  cursor?: string;
  limit: number;
}
