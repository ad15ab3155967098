/** What operators can list workflows by. `sheaf start` registers them with the embedded server. */
import { defineSearchAttributeKey, SearchAttributeType } from '@temporalio/common';

export const SEARCH_ATTRIBUTES = {
  tenant: defineSearchAttributeKey('SheafTenant', SearchAttributeType.KEYWORD),
  kind: defineSearchAttributeKey('SheafKind', SearchAttributeType.KEYWORD),
  state: defineSearchAttributeKey('SheafState', SearchAttributeType.KEYWORD),
  source: defineSearchAttributeKey('SheafSource', SearchAttributeType.KEYWORD),
  tags: defineSearchAttributeKey('SheafTags', SearchAttributeType.KEYWORD_LIST),
} as const;
