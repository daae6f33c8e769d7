// Sends an image and a table to a thread, and shows the addresses of both: node send_apollo.js <thread>
import { sendMessage } from './apollo-files.js';
import { filesIn } from './files.js';
import { chosenFiles, print } from './sending.mjs';

const { images, downloads } = filesIn(await sendMessage(process.argv[2], 'Look.', chosenFiles()));
print('images', images.map(({ filename, contentUrl }) => [filename, contentUrl]));
print('downloads', downloads.map(({ filename, contentUrl }) => [filename, contentUrl]));
