export class Slot {
    /** @param {string} scope the tabs and the server whose connections are counted together */
    constructor(scope: string);
    /**
     * Whether a connection may be held open now. If not, a place is waited for, and a later call
     * will find it. Who gave up waiting for the answer and asks again shares it: two at once could take
     * a place each.
     */
    enter(): Promise<boolean>;
    /** Gives the place to others. */
    leave(): void;
    #private;
}
