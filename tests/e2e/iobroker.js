// Runs the client of ioBroker's MQTT adapter without the rest of ioBroker: its states are kept in the file `argv[3]`, as
// ioBroker's database keeps them, and handed to it again at the next start. `argv[2]` is the broker's port.
const fs = require('fs');
const path = require('path');
const folder = process.argv[4];
const Client = require(path.join(folder, 'lib/client.js'));
const defaults = require(path.join(folder, 'io-package.json')).native;

const [port, file] = [process.argv[2], process.argv[3]];
const states = fs.existsSync(file) ? JSON.parse(fs.readFileSync(file)) : {};
const objects = {};
const silent = () => {};
const setState = async (id, state) => {
    states[id] = typeof state === 'object' && state !== null && 'val' in state ? state : { val: state, ack: true };
    fs.writeFileSync(`${file}.new`, JSON.stringify(states));
    fs.renameSync(`${file}.new`, file);
};
const adapter = {
    namespace: 'mqtt.0',
    config: { ...defaults, type: 'client', url: '127.0.0.1', port, ssl: false, user: '', pass: '', clientId: 'iobroker',
              patterns: '#', publishAllOnStart: true },
    log: { debug: silent, info: text => console.log(text), warn: silent, error: text => console.log(text) },
    getStatesAsync: async () => ({}),
    delForeignObjectAsync: async () => {},
    getObject: (id, done) => done(null, objects[id]),
    getForeignObject: (id, done) => done(null, objects[id] || { _id: id, native: {} }),
    getObjectAsync: async id => objects[id],
    getForeignObjectAsync: async id => objects[id],
    setObject: (id, object, done) => { objects[id] = object; done(); },
    setForeignObjectAsync: async (id, object) => { objects[id] = { _id: id, ...object }; },
    extendForeignObjectAsync: async (id, object) => { objects[id] = { ...objects[id], ...object }; },
    getState: (id, done) => done(null, states[id]),
    setState,
    setForeignStateAsync: setState,
    setForeignBinaryStateAsync: async () => {},
};
new Client(adapter, states);
