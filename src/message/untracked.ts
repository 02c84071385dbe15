/** Pure: mail that holds our own tracking (D7), as it is stored and shown: without. */
import { escapeHtml } from './html.ts';
import { readClick, readOpen } from './tracking-links.ts';

type Bodies = { text: string; html: string | null; replyText: string };

/**
 * A parsed body in which links that are ours lead where they lead in the end, and pictures that are ours are not
 * there: who reads in the CRM what it sent, or what an answer quotes of that, must not count as a recipient. They are
 * known by their signature, whatever the host before them, so that those of an earlier address are known, too.
 */
export function untracked<Body extends Bodies>(box: Parameters<typeof readOpen>[0], body: Body): Body {
  const plain = (text: string) => withoutLinks(box, text, (url) => url);
  const { text, html, replyText } = body;
  return {
    ...body,
    text: plain(text),
    replyText: plain(replyText),
    html: html === null ? null : clean(box, html),
  };
}

/** HTML that was sanitised: it has `>` at the end of tags alone, and quotes every value. */
function clean(box: Parameters<typeof readOpen>[0], html: string): string {
  if (!html.includes('/t/')) return html;
  const withoutPictures = html.replace(picture, (tag, token: string) =>
    readOpen(box, token) === null ? tag : '',
  );
  return withoutLinks(box, withoutPictures, escapeHtml);
}

function withoutLinks(
  box: Parameters<typeof readOpen>[0],
  text: string,
  written: (url: string) => string,
): string {
  if (!text.includes('/t/c/')) return text;
  return text.replace(link, (whole, token: string) => {
    const click = readClick(box, token);
    return click === null ? whole : written(click.url);
  });
}

const picture = /<img [^>]{0,2000}?src="https?:\/\/[^"]{1,300}?\/t\/o\/([\w-]{42})"[^>]*>/g;
/** The host and path before ours are short; without a limit a long run of slashes would take its square. */
const link = /https?:\/\/[\w.:[\]~/-]{1,300}?\/t\/c\/([\w-]{44,4000})/g;
