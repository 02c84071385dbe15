/** Whose something is: a user, and in which sub-account, by the CRM's own ids. */
export function OfMember({ userId, subAccountId }: { userId: string; subAccountId: string }) {
  return (
    <>
      <bdi>{userId}</bdi>
      <small>
        <bdi>{subAccountId}</bdi>
      </small>
    </>
  );
}
