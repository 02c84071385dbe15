import { connectEnglish } from './connect.en.ts';

export const connectGerman: Record<keyof typeof connectEnglish, string> = connectEnglish;
