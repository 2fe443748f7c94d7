export class Slot {
    /** @param {string} scope the tabs and the server whose connections are counted together */
    constructor(scope: string);
    /**
     * Whether a connection may be held open now. If not, a place is waited for, and a later call
     * will find it.
     */
    enter(): Promise<boolean>;
    /** Gives the place to others. */
    leave(): void;
    #private;
}
