/**
 * The models that are looked through: one, or two side by side. As long as any of them is loading or has failed its
 * self-test, there are no masks.
 */

import { AppError, messageOf, NOT_DOWNLOADED } from '../core/errors.js';
import { announce } from './page.js';
import { BADGES as SAID, modelTitle, showBadge, showFacts, showSelfTest } from './report.js';
import { showMessage, showProgress, showRefusal } from './stage.js';
import { megabytes, sentence } from './text.js';

/**
 * @typedef {import('./catalogue.js').Offer} Offer
 * @typedef {import('./engine.js').Opened} Opened
 * @typedef {'waiting' | 'passed' | 'failed' | 'absent'} State `absent`: not on this device, and it could not be downloaded
 * @typedef {{ id: string, offer: Offer, opened?: Opened, error?: string, absent?: boolean, opening?: Promise<void> }} Slot
 */

const ABSENT = 'it could not be downloaded. Connect and reload the page, or choose a network that is ready offline.';

export class Slots {
  /**
   * @param {import('./engine.js').Engine} engine
   * @param {() => void} changed called when a model was opened, failed, or was taken away
   */
  constructor(engine, changed) {
    this.engine = engine;
    this.changed = changed;
    /** @type {Slot[]} */
    this.slots = [];
    this.serial = 0;
  }

  /** @returns {State} */
  get state() {
    if (this.slots.some(({ opened, error, absent }) => (error !== undefined && !absent) || opened?.selfTest.passed === false)) return 'failed';
    if (this.slots.some(({ absent }) => absent)) return 'absent';
    return this.slots.length > 0 && this.slots.every(({ opened }) => opened) ? 'passed' : 'waiting';
  }

  /** Whether no picture may be taken, because there will be no mask. */
  get blocked() {
    return this.state === 'failed' || this.state === 'absent';
  }

  /** The models that may look at pictures: all of them, or none. */
  get ready() {
    if (this.state !== 'passed') return [];
    return this.slots.map(({ id, opened }) => ({ id, opened: /** @type {Opened} */ (opened) }));
  }

  /**
   * Show the given offers, in this order; what is open already stays open.
   * @param {Offer[]} offers
   * @param {string} provider
   */
  async choose(offers, provider) {
    const before = this.slots;
    this.slots = offers.map((offer) => {
      const same = before.find((slot) => slot.offer === offer && slot.id.endsWith(` ${provider}`) && !slot.error);
      return same ?? { id: `${(this.serial += 1)} ${provider}`, offer };
    });
    const gone = before.filter((slot) => !this.slots.includes(slot));
    this.#show();
    for (const { id } of gone) await this.engine.close(id);
    for (const slot of this.slots) {
      slot.opening ??= this.#open(slot, provider);
      await slot.opening;
    }
  }

  /**
   * @param {Slot} slot
   * @param {string} provider
   */
  async #open(slot, provider) {
    const { id, offer } = slot;
    const present = () => this.slots.includes(slot);
    try {
      slot.opened = await this.engine.open({ id, source: offer.source, provider }, ({ step, done, total }) => {
        if (present()) showProgress(...progressOf(step, done, total));
      });
    } catch (error) {
      slot.absent = error instanceof AppError && error.reason === NOT_DOWNLOADED;
      slot.error = slot.absent ? ABSENT : messageOf(error);
    }
    if (present()) this.#show();
    else await this.engine.close(id);
  }

  /**
   * A model runs on another provider from now on, and was self-tested there.
   * @param {string} id
   * @param {import('../worker/models.js').SelfTest} selfTest
   */
  moved(id, selfTest) {
    const slot = this.slots.find((found) => found.id === id);
    if (!slot?.opened) return;
    slot.opened = { ...slot.opened, selfTest };
    this.#show();
    const note = sentence(selfTest.notes[0]);
    showMessage(note);
    announce(note);
  }

  #show() {
    const { state } = this;
    showBadge(state);
    showSelfTest(
      this.slots.map(({ offer, opened, error }) => ({
        title: opened ? modelTitle(opened) : offer.title,
        opened,
        error: error && sentence(error),
      })),
    );
    showRefusal(this.blocked ? this.#reason() : '', state === 'absent' ? 'This network is not on this device' : undefined);
    if (state !== 'waiting') showProgress('');
    const titles = this.slots.map(({ offer }) => offer.title).join('; ');
    announce(this.blocked ? `${SAID[state]}. ${this.#reason()}` : `${SAID[state]}: ${titles}.`);
    const [first] = this.slots;
    if (first?.opened) showFacts(first.opened, first.offer.dataset);
    this.changed();
  }

  #reason() {
    const failed = this.slots.find(({ opened, error }) => error !== undefined || opened?.selfTest.passed === false);
    if (!failed) return '';
    const breach = failed.opened?.selfTest.breaches[0];
    const reason = failed.error ?? `on this device it answers otherwise than the reference: ${breach}.`;
    return `${failed.offer.title}: ${reason}`;
  }
}

/**
 * @param {string} step
 * @param {number} done
 * @param {number} total
 * @returns {[string, number | undefined]}
 */
function progressOf(step, done, total) {
  if (step === 'loading') return [`Loading, ${megabytes(done)} of ${megabytes(total)}`, done / total];
  if (step === 'self-test') return [`Self-test, picture ${done + 1} of ${total}`, done / total];
  return ['Starting the network', undefined];
}
