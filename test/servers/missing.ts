/** Servers that a machine may lack. */

/**
 * What started, or null: the test file then says what is missing and skips. With SHEAF_REQUIRE_ALL=1 it rejects instead.
 */
export async function orMissing<T>(what: string, starting: Promise<T>): Promise<T | null> {
  try {
    return await starting;
  } catch (error) {
    if (process.env['SHEAF_REQUIRE_ALL'] === '1') throw error;
    console.warn(`Not run, ${what}: ${error instanceof Error ? error.message : String(error)}`);
    return null;
  }
}
