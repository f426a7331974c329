package interop;

/** An exception that the service's interface declares. */
public class CheckedFailure extends Exception {
    private static final long serialVersionUID = 1L;

    private int number;

    public CheckedFailure() {}

    public CheckedFailure(String message, int number) {
        super(message);
        this.number = number;
    }

    public int getNumber() {
        return number;
    }
}
