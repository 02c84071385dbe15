/** What a node can do: the API and the pages; listening to mailboxes; mail to logging addresses; sending; telling the CRM. */
export const roleNames = ['api', 'mailbox', 'intake', 'outbound', 'webhook'] as const;

export type Role = (typeof roleNames)[number];
