/** A release whose workflow tasks fail: an error that is no failure of the workflow is tried again until it is mended. */
export async function sheetJob(): Promise<void> {
  throw new Error('This release is broken.');
}
