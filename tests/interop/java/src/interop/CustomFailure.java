package interop;

/** An exception that nobody declares. */
public class CustomFailure extends RuntimeException {
    private static final long serialVersionUID = 1L;

    private String code;

    public CustomFailure() {}

    public CustomFailure(String message, String code, Throwable cause) {
        super(message, cause);
        this.code = code;
    }

    public String getCode() {
        return code;
    }
}
