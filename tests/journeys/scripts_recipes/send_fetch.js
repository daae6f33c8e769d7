// Sends an image and a table to a thread, and shows the addresses of both: node send_fetch.js <thread>
import { fetchAsUser } from './sign-in.js';
import { filesIn, messageWith, newContentUrl, sendFile } from './files.js';
import { chosenFiles, endpoint, print } from './sending.mjs';

const [thread] = process.argv.slice(2);
const files = await Promise.all(chosenFiles().map(sendFile));
const query = `
  mutation ($input: CreateMessageInput!) {
    createMessage(input: $input) {
      message {
        content { ... on ImageFileContent { file { id filename contentUrl } } }
        attachments { file { id filename contentUrl } }
      }
    }
  }
`;
const response = await fetchAsUser(endpoint, {
  method: 'POST',
  headers: { 'Content-Type': 'application/json' },
  body: JSON.stringify({ query, variables: { input: { threadId: thread, ...messageWith('Look.', files) } } }),
});
const { images, downloads } = filesIn((await response.json()).data.createMessage.message);
print('images', images.map(({ filename, contentUrl }) => [filename, contentUrl]));
print('downloads', downloads.map(({ filename, contentUrl }) => [filename, contentUrl]));
print('new', await newContentUrl(images[0].id));
print('refused', await sendFile(new File([], 'empty.txt')).catch(({ message }) => message));
