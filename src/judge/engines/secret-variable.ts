/** What our own drivers authenticate each other with, as 64 hexadecimal digits. A run on two hosts gives both the same. */
export const secretVariable = "KVFERRY_JUDGE_SECRET"
